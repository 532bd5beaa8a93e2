"""What serving costs: a decision, a rescoring, a snapshot, beside the usual service."""
