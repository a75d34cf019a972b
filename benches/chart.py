"""A chart of bars in SVG."""

LEFT, WIDTH, ROW = 190, 720, 34


def bars(title, lines):
    """A bar for each line: (name, value, label beside the bar, whether it is ours). None is a gap."""
    scale = (WIDTH - LEFT - 150) / max(line[1] for line in lines if line)
    drawn = []
    for index, line in enumerate(lines):
        if line is None:
            continue
        name, value, label, is_ours = line
        y, length = 44 + index * ROW, max(2, value * scale)
        drawn.append(f'<text x="{LEFT - 8}" y="{y + 16}" text-anchor="end">{name}</text>')
        drawn.append(f'<rect x="{LEFT}" y="{y}" width="{length:.0f}" height="22" fill="{"#2b6cb0" if is_ours else "#a0aec0"}"/>')
        drawn.append(f'<text x="{LEFT + length + 6:.0f}" y="{y + 16}">{label}</text>')
    height = 56 + len(lines) * ROW
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="13">'
    # a page that is dark shows text in black
    ground = f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
    return "\n".join([head, ground, f'<text x="12" y="24" font-size="14">{title}</text>', *drawn, "</svg>", ""])
