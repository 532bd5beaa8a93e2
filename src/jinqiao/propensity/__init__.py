"""Chances of reaching each stage, calibrated and aware of delay.

In: profiles as of the moments offers were shown, decisions, outcomes, products; or anyone's arrays.
Out: a chain of four stage models, chances for pairs, reasons, a model card; what a contact changes.
Always: nothing after as-of is read; no feature a purpose may not use; open cases are not a no.
From: gradient boosting (Ke 2017) on a multilevel logistic (Gelman & Hill 2007), Platt calibration,
delayed feedback (Chapelle 2014), pairs scored by QuickScorer (Lucchese 2015), uplift by doubly
robust and X-learners (Kennedy 2023, Künzel 2019).
"""

from __future__ import annotations

from jinqiao.propensity.card import card_page, chain_version
from jinqiao.propensity.chain import ChainModel, ChainSpec, train
from jinqiao.propensity.columns import ContextColumns
from jinqiao.propensity.committee import Committee, CommitteeSpec, fit_committee
from jinqiao.propensity.contest import MARGIN, StageContest, contest, faults_of
from jinqiao.propensity.context import ContextGain, context_gain, with_context
from jinqiao.propensity.drift import Reference, read_reference, reference_of, write_reference
from jinqiao.propensity.folds import CrossFit, area_figures, cross_fit
from jinqiao.propensity.odds import (
    ApprovalOdds,
    Calibration,
    OddsBound,
    approval_odds,
    calibration_by_group,
)
from jinqiao.propensity.reasons import contributions, reasons
from jinqiao.propensity.registry import (
    By,
    champion,
    find_model,
    hold,
    is_held,
    model_decisions,
    models,
    promote,
    refuse,
    register,
    roll_back,
)
from jinqiao.propensity.saved import load, save
from jinqiao.propensity.score import Judging, ScoreModel, fit_score
from jinqiao.propensity.scorer import Scorer
from jinqiao.propensity.stage import Levels, StageModel, StageSpec, fit_stage
from jinqiao.propensity.tables import TableModel, fit_table
from jinqiao.propensity.training import TrainingSet, training_set
from jinqiao.propensity.unfinished import UnfinishedStages, work_key
from jinqiao.propensity.uplift import Uplift, UpliftModel, fit_uplift

__all__ = [
    "MARGIN",
    "ApprovalOdds",
    "By",
    "Calibration",
    "ChainModel",
    "ChainSpec",
    "Committee",
    "CommitteeSpec",
    "ContextColumns",
    "ContextGain",
    "CrossFit",
    "Judging",
    "Levels",
    "OddsBound",
    "Reference",
    "ScoreModel",
    "Scorer",
    "StageContest",
    "StageModel",
    "StageSpec",
    "TableModel",
    "TrainingSet",
    "UnfinishedStages",
    "Uplift",
    "UpliftModel",
    "approval_odds",
    "area_figures",
    "calibration_by_group",
    "card_page",
    "chain_version",
    "champion",
    "contest",
    "context_gain",
    "contributions",
    "cross_fit",
    "faults_of",
    "find_model",
    "fit_committee",
    "fit_score",
    "fit_stage",
    "fit_table",
    "fit_uplift",
    "hold",
    "is_held",
    "load",
    "model_decisions",
    "models",
    "promote",
    "read_reference",
    "reasons",
    "reference_of",
    "refuse",
    "register",
    "roll_back",
    "save",
    "train",
    "training_set",
    "with_context",
    "work_key",
    "write_reference",
]
