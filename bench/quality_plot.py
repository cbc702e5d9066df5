"""The plot of docs/QUALITY.md, as SVG."""
import quality

WIDE, HIGH, LEFT, TOP = 330, 180, 74, 96
PANELS = ["rare", "probe", "modes_other", "cover_other"]
TITLES = {
    "rare": "Recall of platelets, the rare class", "probe": "k-NN probe, macro recall",
    "modes_other": "Cluster recall (colour histograms)", "cover_other": "Object cover radius (colour; smaller is up)",
}
LINES = [  # method, colour, width
    ("k_center", "#b9b9b9", 1.4), ("kmeans_image", "#b9b9b9", 1.4), ("typiclust", "#b9b9b9", 1.4), ("probcover", "#b9b9b9", 1.4), ("activeft", "#b9b9b9", 1.4),
    ("class_balanced_random", "#7a9a3f", 1.8), ("freesel", "#a66bb0", 1.8), ("object_d2", "#d98325", 1.8), ("ofds", "#1f5fa8", 3),
]
LEGEND = [("OFDS ± 2 standard errors", "#1f5fa8", 3), ("object_d2", "#d98325", 1.8), ("freesel", "#a66bb0", 1.8), ("class-balanced random", "#7a9a3f", 1.8), ("on image vectors", "#b9b9b9", 1.4)]


def step_of(span):
    """A round step that gives a span 4 to 8 lines."""
    for step in (0.01, 0.02, 0.05, 0.1, 0.2):
        if span / step <= 8:
            return step
    return 0.5


def panel(figures, measure, x0, y0, budgets):
    better = quality.MEASURES[measure][1]
    sign = 1 if better else -1
    data = {}
    for method, *_ in LINES:
        data[method] = []
        for b in budgets:
            d = sign * (quality.column(figures, method, b, measure) - quality.column(figures, "random", b, measure))
            data[method].append((d.mean(), quality.error(d)))
    lows = [m for v in data.values() for m, _ in v] + [m - 2 * e for m, e in data["ofds"]]
    highs = [m for v in data.values() for m, _ in v] + [m + 2 * e for m, e in data["ofds"]]
    step = step_of(max(highs) - min(lows))
    low, high = min(lows) - step / 5, max(highs) + step / 5
    x = lambda i: x0 + 24 + i * (WIDE - 48) / (len(budgets) - 1)  # noqa: E731
    y = lambda v: y0 + HIGH * (high - v) / (high - low)  # noqa: E731
    out = [f'<text x="{x0}" y="{y0 - 12}" class="title">{TITLES[measure]}</text>']
    at = round(low / step - 0.5) * step
    while at <= high:
        if at >= low:
            zero = abs(at) < step / 2
            out.append(f'<line x1="{x0}" x2="{x0 + WIDE}" y1="{y(at):.1f}" y2="{y(at):.1f}" stroke="{"#555" if zero else "#e3e3e3"}"/>')
            out.append(f'<text x="{x0 - 8}" y="{y(at) + 4:.1f}" text-anchor="end">{"random" if zero else f"{at:+.2f}"}</text>')
        at += step
    for i, b in enumerate(budgets):
        out.append(f'<text x="{x(i):.1f}" y="{y0 + HIGH + 18}" text-anchor="middle">{b}</text>')
    for method, colour, width in LINES:
        points = " ".join(f"{x(i):.1f},{y(m):.1f}" for i, (m, _) in enumerate(data[method]))
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"><title>{method}</title></polyline>')
    for i, (m, e) in enumerate(data["ofds"]):
        out.append(f'<line x1="{x(i):.1f}" x2="{x(i):.1f}" y1="{y(m - 2 * e):.1f}" y2="{y(m + 2 * e):.1f}" stroke="#1f5fa8" stroke-width="1.5"/>')
        out.append(f'<circle cx="{x(i):.1f}" cy="{y(m):.1f}" r="3.5" fill="#1f5fa8"/>')
    return out


def draw(path, figures, budgets):
    width, height = 2 * (WIDE + LEFT) + 24, TOP + 2 * (HIGH + 70) - 12
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="system-ui, sans-serif" font-size="12" fill="#333">',
           "<style>.title{font-size:14px;font-weight:600}</style>", f'<rect width="{width}" height="{height}" fill="#fff"/>',
           f'<text x="{LEFT}" y="24" class="title">Difference to random images, by budget (5 to 80 of 233 images); up is better</text>']
    x = LEFT
    for label, colour, thick in LEGEND:
        out.append(f'<line x1="{x}" x2="{x + 22}" y1="46" y2="46" stroke="{colour}" stroke-width="{thick}"/><text x="{x + 28}" y="50">{label}</text>')
        x += 50 + 6.2 * len(label)
    for i, measure in enumerate(PANELS):
        out += panel(figures, measure, LEFT + (i % 2) * (WIDE + LEFT), TOP + (i // 2) * (HIGH + 70), budgets)
    with open(path, "w") as f:
        f.write("\n".join(out + ["</svg>"]) + "\n")
