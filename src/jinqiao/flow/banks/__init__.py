"""Real bank data through the product's own rooms: Berka's ledger, bank-marketing calls."""
