"""One peer on one linear programme, in a process of its own: ``peer_run.py FILE PEER TOLERANCE``.

Needs NumPy, SciPy and the peer only, so that it also runs in an environment without jinqiao. Reads
``FILE.npz`` (maximise c·x, 0 ≤ x ≤ upper, row_lower ≤ A x ≤ row_upper, A by columns), writes
``FILE.PEER.npz`` (x, duals of the rows) and prints its seconds.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np

LIMIT_S = 210.0


def highs(lp: Any, method: str, tolerance: float) -> tuple[Any, Any, str]:
    """Return x, row duals (of the maximum, ≥ 0 for a ceiling that binds) and HiGHS's verdict."""
    import highspy

    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = len(lp["c"]), len(lp["row_upper"])
    model.sense_ = highspy.ObjSense.kMaximize
    model.col_cost_, model.col_lower_ = lp["c"], np.zeros(len(lp["c"]))
    model.col_upper_ = lp["upper"]
    model.row_lower_, model.row_upper_ = lp["row_lower"], lp["row_upper"]
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_, model.a_matrix_.index_ = lp["start"], lp["index"]
    model.a_matrix_.value_ = lp["data"]
    solver = highspy.Highs()
    options = {"output_flag": False, "threads": 1, "solver": method, "time_limit": LIMIT_S}
    if method == "ipx":
        options["run_crossover"] = "off"
    if method == "pdlp":
        options |= {"pdlp_optimality_tolerance": tolerance, "kkt_tolerance": tolerance}
    for name, value in options.items():
        solver.setOptionValue(name, value)
    solver.passModel(model)
    solver.run()
    found = solver.getSolution()
    status = str(solver.modelStatusToString(solver.getModelStatus()))
    return np.array(found.col_value), np.array(found.row_dual), status


def ortools(lp: Any, _method: str, tolerance: float) -> tuple[Any, Any, str]:
    """Return the same of OR-tools' PDLP."""
    import scipy.sparse as sparse
    from ortools.pdlp import solve_log_pb2, solvers_pb2
    from ortools.pdlp.python import pdlp

    program = pdlp.QuadraticProgram()
    program.objective_vector = -lp["c"]
    shape = (len(lp["row_upper"]), len(lp["c"]))
    program.constraint_matrix = sparse.csc_matrix((lp["data"], lp["index"], lp["start"]), shape)
    program.constraint_lower_bounds, program.constraint_upper_bounds = (
        lp["row_lower"],
        lp["row_upper"],
    )
    program.variable_lower_bounds = np.zeros(shape[1])
    program.variable_upper_bounds = lp["upper"]
    params = solvers_pb2.PrimalDualHybridGradientParams()
    ends = params.termination_criteria
    ends.simple_optimality_criteria.eps_optimal_relative = tolerance
    ends.simple_optimality_criteria.eps_optimal_absolute = tolerance
    ends.time_sec_limit = LIMIT_S
    params.num_threads = 1
    done = pdlp.primal_dual_hybrid_gradient(program, params)
    reason = solve_log_pb2.TerminationReason.Name(done.solve_log.termination_reason)
    return np.array(done.primal_solution), -np.array(done.dual_solution), reason


def main() -> None:
    file, peer, tolerance = sys.argv[1], sys.argv[2], float(sys.argv[3])
    lp = dict(np.load(f"{file}.npz"))
    house, method = peer.split("-", 1)
    solve = {"highs": highs, "ortools": ortools}[house]
    began, wall = time.process_time(), time.perf_counter()
    x, duals, status = solve(lp, method, tolerance)
    seconds = {"cpu_s": time.process_time() - began, "wall_s": time.perf_counter() - wall}
    np.savez(f"{file}.{peer}.npz", x=x, duals=duals)
    sys.stdout.write(json.dumps(seconds | {"status": status}) + "\n")


if __name__ == "__main__":
    main()
