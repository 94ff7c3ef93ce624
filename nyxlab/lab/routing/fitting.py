"""Trains a router from a table of prompts with each model's outcome. Loads scikit-learn."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import Ridge

from nyxlab.errors import InputRefused
from nyxlab.gate.router import FORMAT, MARKS, Floats, Origin, Router, bag, surface, terms_of, weighed
from nyxlab.lab.routing.outcomes import Table

MAX_TERMS, RARE = 60_000, 2  # a term seen in fewer prompts than RARE tells nothing
TOPICS = 150  # dimensions in which the probe looks at words
STIFF, PROBE_STIFF = 10.0, 30.0  # ridge penalties, chosen on development prompts
TREES, LEAF = 120, 15


def train(table: Table) -> Router:
    """Learn a router from outcomes: deterministic, one thread, seconds for ten thousand prompts."""
    if len(table.prompts) < 20:
        raise InputRefused(f"{table.name}: {len(table.prompts)} prompts teach nothing; give 20 at least, better 1,000")
    seen = Counter(term for prompt in table.prompts for term in set(terms_of(prompt)))
    terms = tuple(sorted(term for term, count in seen.most_common(MAX_TERMS) if count >= RARE))
    idf = np.log((1 + len(table.prompts)) / (1 + np.array([seen[term] for term in terms], dtype=float))) + 1
    words = _matrix(table.prompts, terms, idf)
    looks = np.array([surface(prompt) for prompt in table.prompts])
    centre, spread = looks.mean(0), np.where(looks.std(0) > 0, looks.std(0), 1.0)
    marks = np.clip((looks - centre) / spread, -4, 4)
    labels = tuple(sorted({label for label in table.labels if label}))
    tasks = np.array([[float(label == each) for each in labels] for label in table.labels]).reshape(len(marks), -1)
    single = np.array([" " not in term for term in terms])
    probe, probe_at0, probed = _probe(words, single, marks, np.hstack([tasks, table.quality]))
    plain, plain_at0 = _ridge(sparse.hstack([words, MARKS * marks]).tocsr(), table.quality)
    tasked, tasked_at0 = _ridge(sparse.hstack([words, MARKS * marks, tasks]).tocsr(), table.quality)
    arrays = {
        "idf": idf, "centre": centre, "spread": spread, "probe": probe, "probe_at0": probe_at0,
        "plain": plain, "plain_at0": plain_at0, "tasked": tasked, "tasked_at0": tasked_at0,
    }  # fmt: skip
    kept = {name: array.astype(np.float32) for name, array in arrays.items()}
    origin = Origin(
        source=table.name, sha256=table.sha256, prompts=len(table.prompts), models=table.models, labels=labels,
        trained_on=f"{datetime.now(UTC):%Y-%m-%d}",
    )  # fmt: skip
    return Router(origin, terms, kept | _forest(np.hstack([probed, marks]), table.quality))


def _matrix(prompts: Sequence[str], terms: Sequence[str], idf: Floats) -> sparse.csr_matrix:
    index = {term: number for number, term in enumerate(terms)}
    bags = [weighed(bag(prompt, index), idf) for prompt in prompts]
    ends = np.cumsum([0, *(len(numbers) for numbers, _ in bags)])
    columns, amounts = np.concatenate([b[0] for b in bags]), np.concatenate([b[1] for b in bags])
    return sparse.csr_matrix((amounts, columns, ends), shape=(len(prompts), len(terms)))


def _ridge(features: sparse.csr_matrix, targets: Floats) -> tuple[Floats, Floats]:
    model = Ridge(alpha=STIFF, solver="lsqr").fit(features, targets)
    return model.coef_.T, model.intercept_


def _probe(
    words: sparse.csr_matrix, single: npt.NDArray[np.bool_], marks: Floats, targets: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return weights over terms and marks, their constant, and what each prompt would be told without itself.

    Those left-one-out predictions cost nothing here (the hat matrix gives them), and they are what keeps the forest
    from trusting a probe that has seen the answer.
    """
    topics = TruncatedSVD(min(TOPICS, min(words.shape) - 1, int(single.sum()) - 1), random_state=0, n_iter=3)
    found = topics.fit_transform(words[:, single])
    scale = float(found.std(0).max()) or 1.0
    seen = np.hstack([found / scale, 0.3 * marks])
    middle, mean = seen.mean(0), targets.mean(0)
    centred = seen - middle
    solve = np.linalg.solve(centred.T @ centred + PROBE_STIFF * np.eye(centred.shape[1]), centred.T)
    weights = solve @ (targets - mean)
    lever = np.einsum("ij,ji->i", centred, solve) + 1 / len(centred)
    apart = targets - (targets - centred @ weights - mean) / (1 - lever)[:, None]
    by_term = np.zeros((words.shape[1], targets.shape[1]))
    by_term[single] = topics.components_.T @ weights[: found.shape[1]] / scale
    return np.vstack([by_term, 0.3 * weights[found.shape[1] :]]), mean - middle @ weights, apart


def _forest(features: Floats, targets: Floats) -> dict[str, npt.NDArray[Any]]:
    """Grow the forest and lay its trees end to end."""
    grown = ExtraTreesRegressor(TREES, min_samples_leaf=LEAF, max_features=0.3, random_state=0).fit(features, targets)
    parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in ("feature", "threshold", "left", "right", "value")}
    roots, size = [], 0
    for tree in (each.tree_ for each in grown.estimators_):
        here = np.arange(size, size + tree.node_count)
        leaf = tree.children_left < 0
        parts["feature"].append(np.where(leaf, 0, tree.feature).astype(np.int32))
        parts["threshold"].append(tree.threshold)
        parts["left"].append(np.where(leaf, here, tree.children_left + size).astype(np.int32))
        parts["right"].append(np.where(leaf, here, tree.children_right + size).astype(np.int32))
        parts["value"].append(tree.value[:, :, 0].astype(np.float32))
        roots.append(size)
        size += tree.node_count
    joined = {f"forest_{name}": np.concatenate(arrays) for name, arrays in parts.items()}
    return joined | {"forest_roots": np.array(roots, dtype=np.int32)}


def save(router: Router, path: Path) -> None:
    """Write a router as one file of plain arrays and JSON."""
    head = json.dumps({"format": FORMAT, "origin": router.origin.to_json(), "terms": router.terms})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            arrays: dict[str, Any] = {"head": np.frombuffer(head.encode(), dtype=np.uint8), **router.arrays}
            np.savez_compressed(file, **arrays)
    except OSError as error:
        raise InputRefused(f"{path}: cannot be written ({error.strerror})") from None
