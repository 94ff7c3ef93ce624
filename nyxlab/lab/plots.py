"""Plotly figures of runs: what the providers cost, how long they took, and when each step ran.

A provider has one colour everywhere (Okabe and Ito's palette, told apart by colour-blind people too; its blue is
lighter here, to be seen on dark). Backgrounds are transparent and ink is a middle grey, so that a figure reads on a
light page and on a dark one; the reports recolour it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

import pandas as pd
import plotly.graph_objects as go

from nyxlab.lab import frames
from nyxlab.lab.views.rows import Json, ReviewLike, RunLike, checkpoint_of, percentile, review_json, stands
from nyxlab.lab.views.wording import money, seconds
from nyxlab.providers.messages import Usage
from nyxlab.providers.registry import tariff_of

PALETTE = ("#2a86cc", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a7fd1", "#8c8c8c")
INK, GRID = "#7a7a7a", "rgba(128,128,128,0.25)"
ALWAYS = "always "  # how a policy that picks one provider is called
LISTED = "anthropic:claude-sonnet-5-5"  # whose list price says what free calls would have cost
ROW = 46  # pixels a horizontal bar or box gets


class Note(str):
    """A sentence in place of a chart that would be empty."""

    __slots__ = ()

    def _repr_markdown_(self) -> str:
        return f"*{self}*"


def colours(providers: Iterable[str]) -> dict[str, str]:
    """Return each provider's colour: the one its name hashes to, or the next free one where two names meet."""
    chosen: dict[str, str] = {}
    for name in sorted(set(providers)):
        start = hashlib.sha256(name.encode()).digest()[0]
        wheel = [PALETTE[(start + turn) % len(PALETTE)] for turn in range(len(PALETTE))]
        chosen[name] = next((c for c in wheel if c not in chosen.values()), wheel[0])
    return chosen


def cost_by_provider(runs: Iterable[RunLike], palette: dict[str, str] | None = None) -> go.Figure | Note:
    """Return bars of the known cost of each provider in USD; a judge's cost is a hatched bar of its own.

    Where nothing was paid, a sentence says what the same tokens would have cost at a list price instead.
    """
    table = frames.providers(list(runs))
    if not table["usd"].fillna(0).any():
        return _unpaid(table)
    hue = palette or colours(table["provider"])
    figure = go.Figure()
    for row in table.to_dict("records"):
        judge = row["role"] == "judge"
        usd = 0.0 if pd.isna(row["usd"]) else row["usd"]
        said = money(usd, row["certainty"])
        figure.add_bar(
            x=[usd], y=[label(row["provider"]) + (" (judge)" if judge else "")], orientation="h", text=[said],
            marker={"color": hue[row["provider"]], "pattern": {"shape": "/" if judge else ""}},
            hovertemplate="%{y}: " + said + "<extra></extra>",
        )  # fmt: skip
    figure.update_traces(textposition="outside", cliponaxis=False)
    most = table["usd"].max()
    figure.update_xaxes(range=[0, most * 1.4 if most > 0 else 0.01], nticks=4)  # room for the amount after its bar
    return _dress(figure, "Cost per provider", "cost (USD)", rows=len(table))


def _unpaid(table: pd.DataFrame) -> Note:
    if table.empty:
        return Note("No provider was called, so nothing was paid.")
    if (table["certainty"] == "unknown").any():
        return Note("What these calls cost is unknown: state prices in nyxlab.toml.")
    counts = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    usage = Usage(**{name: int(table[name].sum()) for name in counts})
    usd = tariff_of(LISTED).cost(usage).usd
    amount = money(usd, "estimated" if usd is not None else "unknown")
    return Note(
        f"Nothing was paid: these providers are free. At the list price of {LISTED} the same {usage.tokens:,} "
        f"tokens would have cost {amount} (an estimate: another model counts, and writes, other tokens)."
    )


def _timed(runs: Iterable[RunLike]) -> pd.DataFrame:
    """Return the calls whose latency was measured: those that answered, and were not replayed."""
    calls = [frames.calls(run) for run in runs]
    table = pd.concat(calls) if calls else frames.calls({"steps": []})
    return table[~table["cached"] & table["latency_s"].notna()]


def latency_by_provider(runs: Iterable[RunLike], palette: dict[str, str] | None = None) -> go.Figure | Note:
    """Return a box with every call as a dot, in seconds of service time; the label says p50, p95 and how many (n)."""
    rows = _timed(runs)
    if rows.empty:
        return Note("No call was answered, so there is no latency to show.")
    hue = palette or colours(rows["provider"])
    figure = go.Figure()
    for name, own in rows.groupby("provider"):
        took = own["latency_s"].tolist()
        p50, p95 = (percentile(took, share) for share in (50, 95))
        figure.add_box(
            x=took, name=f"{label(str(name))}<br>{p50:.3g} / {p95:.3g} s, n = {len(own)}", orientation="h",
            boxpoints="all", jitter=0.4, pointpos=0, fillcolor="rgba(0,0,0,0)",
            line={"width": 1.5, "color": hue[str(name)]},
            marker={"color": hue[str(name)], "size": 7, "opacity": 0.8}, hovertemplate="%{x:.3f} s<extra></extra>",
        )  # fmt: skip
    return _dress(
        figure,
        "Latency per provider",
        "p50 / p95 beside the name; a call (s)",
        rows=rows["provider"].nunique(),
    )


def cost_and_quality(runs: Iterable[RunLike], palette: dict[str, str] | None = None) -> go.Figure | Note:
    """Return what each policy's picks of recorded comparisons cost (USD) and were worth (% of the best answer).

    One provider always is a filled dot in its colour, any other policy an open diamond; the line joins those that no
    other one beats on both (the Pareto front). Policies with an unknown cost, or that nobody judged, are left out.
    """
    table = frames.policies(runs).dropna(subset=["usd", "regret"])
    if table.empty:
        return Note("No comparison was judged by Cael or a person, so nobody knows what the answers were worth.")
    hue = palette or colours(p.removeprefix(ALWAYS) for p in table["policy"] if p.startswith(ALWAYS))
    figure = go.Figure()
    front = table.sort_values(["usd", "regret"])
    front = front[front["regret"] < front["regret"].cummin().shift(fill_value=float("inf"))]
    worth = (100 * (1 - front["regret"])).tolist()
    figure.add_scatter(
        x=front["usd"].tolist(), y=worth, mode="lines", line={"color": INK, "dash": "dot", "shape": "hv"},
        hoverinfo="skip",
    )  # fmt: skip
    places: dict[tuple[float, float], list[str]] = {}
    for row in table.to_dict("records"):
        places.setdefault((row["usd"], 100 * (1 - row["regret"])), []).append(row["policy"])
    for (usd, kept), names in places.items():
        alone = next((name.removeprefix(ALWAYS) for name in names if name.startswith(ALWAYS)), None)
        said = "<br>".join(label(name) for name in names)
        figure.add_scatter(
            x=[usd], y=[kept], mode="markers+text", text=[said], textposition="bottom right", cliponaxis=False,
            marker={"color": hue[alone] if alone else INK, "size": 11, "symbol": "circle" if alone else "diamond-open"},
            hovertemplate=f"{said}: $%{{x:.4f}}, %{{y:.0f}} %<extra></extra>",
        )  # fmt: skip
    drawn = _dress(figure, "Cost against quality", "cost of the answers picked (USD)", rows=6)
    drawn.update_xaxes(range=[0, (table["usd"].max() or 0.01) * 1.6])
    return drawn.update_yaxes(
        title={"text": "worth, best answer = 100 %"}, range=[-30, 110], tickvals=[0, 25, 50, 75, 100], gridcolor=GRID
    )


def waiting_by_provider(runs: Iterable[RunLike], palette: dict[str, str] | None = None) -> go.Figure | Note:
    """Return what a call of each provider spends its time on, at the median (s): waiting, first token, the rest."""
    rows = _timed(runs)
    if rows.empty:
        return Note("No call was answered, so there is no latency to show.")
    hue = palette or colours(rows["provider"])
    figure = go.Figure()
    for name, own in rows.groupby("provider"):
        whole, first = own["latency_s"].median(), own["first_token_s"].median()
        parts = {
            "waiting": (own["wait_s"].median(), "/"),
            "to the first token": (0.0 if pd.isna(first) else first, "."),
        }
        parts["the rest of the reply"] = (max(0.0, whole - parts["to the first token"][0]), "")
        for said, (took, shape) in parts.items():
            figure.add_bar(
                x=[took], y=[label(str(name))], orientation="h",
                marker={"color": hue[str(name)], "pattern": {"shape": shape}},
                text=[said if took > 0.25 * whole else ""], textposition="inside",
                hovertemplate=f"{said}: %{{x:.3f}} s<extra></extra>",
            )  # fmt: skip
    axis = "waiting (hatched), first token (dotted), rest: median time (s)"
    drawn = _dress(figure, "Where the time of a call goes", axis, rows=rows["provider"].nunique())
    return drawn.update_layout(barmode="stack")


def cost_by_step(run: RunLike, palette: dict[str, str] | None = None) -> go.Figure | Note:
    """Return the known cost of each step (USD), by the provider that was paid; a step's judge is not in it."""
    table = frames.calls(run).dropna(subset=["usd"])
    if not table["usd"].any():
        return _unpaid(frames.providers([run]))
    hue = palette or colours(table["provider"])
    figure = go.Figure()
    for (step, name), own in table.groupby(["step", "provider"], sort=False):
        figure.add_bar(
            x=[own["usd"].sum()], y=[str(step)], orientation="h", marker={"color": hue[str(name)]},
            hovertemplate=f"{label(str(name))}: $%{{x:.4f}}<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(autorange="reversed")
    drawn = _dress(figure, "Cost per step", "cost, in the colours of the providers (USD)", rows=table["step"].nunique())
    return drawn.update_layout(barmode="stack")


def timeline(run: RunLike, palette: dict[str, str] | None = None) -> go.Figure | Note:
    """Return when each step ran, in seconds since the first one began, in the colour of the provider selected."""
    table = frames.steps(run)
    table = table[table["start_s"].notna() & table["duration_s"].notna()]
    if table.empty:
        return Note("No step has run yet.")
    hue = palette or colours(frames.calls(run)["provider"])
    figure = go.Figure()
    for row in table.to_dict("records"):
        who = "no model" if pd.isna(row["selected_provider"]) else row["selected_provider"]
        took = seconds(row["duration_s"])
        figure.add_bar(
            x=[row["duration_s"]], base=[row["start_s"]], y=[row["step"]], orientation="h",
            marker={"color": hue.get(who, INK)}, text=[took], textposition="auto",
            hovertemplate=f"%{{y}}: {label(who)}, {took}<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(autorange="reversed")
    return _dress(figure, "When each step ran", "time since the start (s)", rows=len(table))


def days(runs: Iterable[RunLike]) -> go.Figure | Note:
    """Return what the runs of each day cost (USD), one bar for each way in which runs ended, with how many did."""
    rows = [
        (min(began)[:10], run["status"], float(run["totals"]["usd"] or 0))
        for run in map(checkpoint_of, runs)
        if (began := [step["startedAt"] for step in run["steps"] if step["startedAt"]])
    ]
    if not rows:
        return Note("No run has begun in this time.")
    table = pd.DataFrame(rows, columns=["day", "status", "usd"])
    hues = {"completed": PALETTE[2], "failed": PALETTE[5], "paused": PALETTE[1]}
    figure = go.Figure()
    for (day, status), own in table.groupby(["day", "status"]):
        said = f"{len(own)} {status}"
        figure.add_bar(
            x=[own["usd"].sum()], y=[day], orientation="h", marker={"color": hues.get(str(status), INK)}, text=[said],
            name=str(status), hovertemplate=f"%{{y}}: {said}, $%{{x:.4f}}<extra></extra>",
        )  # fmt: skip
    drawn = _dress(figure, "What each day cost", "cost of its runs (USD)", rows=table["day"].nunique())
    return drawn.update_layout(barmode="stack").update_yaxes(type="category", autorange="reversed")


def findings(reviews: Mapping[str, ReviewLike]) -> go.Figure | Note:
    """Return how many findings each review, by its name, leaves open, and how many are closed since an earlier one."""
    found = {name: [stands(told) for told in review_json(review)["findings"]] for name, review in reviews.items()}
    if not any(found.values()):
        return Note("No review found anything.")
    figure = go.Figure()
    for word, open_, hue in (("open", True, PALETTE[5]), ("closed", False, PALETTE[2])):
        counts = [standing.count(open_) for standing in found.values()]
        figure.add_bar(
            x=counts, y=[label(name) for name in found], orientation="h", marker={"color": hue}, name=word,
            text=[f"{count} {word}" if count else "" for count in counts], hovertemplate=f"%{{y}}: %{{x}} {word}",
        )  # fmt: skip
    drawn = _dress(figure, "What became of the findings", "findings", rows=len(found))
    return drawn.update_layout(barmode="stack").update_yaxes(autorange="reversed")


def recall_and_precision(measurement: Json) -> go.Figure:
    """Return each provider's and lens's share of planted faults found, with 95 % interval and precision, in %."""
    table = frames.scores(measurement)
    table = table[table["finder"].isin(["all", "lens", "provider"])]
    figure = go.Figure()
    for row in table.to_dict("records"):
        at, low, high = (100 * row[key] for key in ("recall", "recall_low", "recall_high"))
        right = "no finding" if pd.isna(row["precision"]) else f"precision {row['precision']:.0%}"
        figure.add_bar(
            x=[at], y=[label(row["name"])], orientation="h", marker={"color": PALETTE[0]},
            error_x={"type": "data", "symmetric": False, "array": [high - at], "arrayminus": [at - low], "color": INK},
            text=[f"{row['found']} of {row['planted']}, {right}"], textposition="outside", cliponaxis=False,
            hovertemplate="%{x:.0f} % found<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(autorange="reversed")
    drawn = _dress(
        figure, "Planted faults found", "share of planted faults found (%), with its 95 % interval", rows=len(table)
    )
    return drawn.update_xaxes(range=[0, 160])


def label(text: str) -> str:
    """Return the text as plotly shows it literally (its labels know a little HTML), in lines that fit a phone."""
    lines = [""]
    for piece in re.findall(r"[^/:#?&\s-]{1,21}[/:#?&\s-]*|[/:#?&\s-]+", text):
        if lines[-1] and len(lines[-1] + piece.strip()) > 21:
            lines.append("")
        lines[-1] += piece
    return "<br>".join(line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for line in lines)


def _dress(figure: go.Figure, title: str, x_title: str, *, rows: int) -> go.Figure:
    axis = {"gridcolor": GRID, "zerolinecolor": GRID, "linecolor": GRID, "automargin": True}
    figure.update_layout(
        title={"text": title, "font": {"size": 15}}, template="none", showlegend=False,
        height=120 + ROW * max(rows, 1), barmode="overlay", bargap=0.35,
        margin={"l": 8, "r": 24, "t": 44, "b": 48}, font={"color": INK, "size": 13},
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", hoverlabel={"namelength": -1},
    )  # fmt: skip
    figure.update_xaxes(title={"text": x_title, "font": {"size": 13}}, rangemode="tozero", **axis)
    figure.update_yaxes(**axis | {"gridcolor": "rgba(0,0,0,0)"}, ticklabelstandoff=8)
    return figure
