"""The network as a drawing: every map a block of its size, layers from top to bottom, residual branches beside."""

from host.report.svg import drawing, element

__all__ = ["network_drawing"]

WIDTH, ROW, TOP = 372, 66, 8
SPINE, TEXT = 86, 158     # x of the middle of the blocks and of the words
SIDE, DEEP = 30, 26       # largest side of a block's face; its largest depth, across and up
LANE = 11                 # between branches that run side by side


def network_drawing(network, words):
    """Return the SVG of a network.

    Parameters
    ----------
    network : the description in a report (`host.report.facts`)
    words : {map: [line, ...]}, what stands beside each block, the first line its title
    """
    maps = ["input"] + [layer["name"] for layer in network["layers"]]
    shapes = dict(zip(maps, [network["input"]["shape"]] + [layer["shape"] for layer in network["layers"]]))
    place = {name: TOP + i * ROW for i, name in enumerate(maps)}
    scale = _Scale(shapes.values())
    straight, branches = _edges(maps, network["graph"])
    drawn = [_branch(place, scale, shapes, *branch) for branch in branches]
    drawn += [_straight(place, scale, shapes, source, target) for source, target in straight]
    for name in maps:
        drawn += [_block(place[name], *scale.block(shapes[name])), *_words(place[name], words[name])]
    height = TOP + ROW * len(maps) - 6
    answer = "numbers" if network["classes"] is None else f"{network['classes']} classes"
    title = (
        f"The network: {len(maps) - 1} layers from {' x '.join(map(str, network['input']['shape']))} to {answer}"
        + f", {len(branches)} branches beside the line" * bool(branches)
    )
    return drawing(WIDTH, height, title, *drawn, class_="network")


class _Scale:
    """Sizes of blocks: the side goes with the root of a map's side, the depth with the root of its channels."""

    def __init__(self, shapes):
        shapes = list(shapes)
        self._side = max(max(height, width) for _, height, width in shapes) ** 0.5
        self._deep = max(channels for channels, _, _ in shapes) ** 0.5

    def block(self, shape):
        """Return (width, height, depth) in user units."""
        channels, height, width = shape
        wide, tall = (max(4.0, SIDE * side**0.5 / self._side) for side in (width, height))
        return wide, tall, max(2.0, DEEP * channels**0.5 / self._deep)


def _edges(maps, graph):
    """Return ([(source, target)] between neighbours, [(source, target, lane, identity)] past others)."""
    order = {name: i for i, name in enumerate(maps)}
    straight, branches, taken = [], [], []
    for source, target, identity in sorted(graph, key=lambda edge: order[edge[1]] - order[edge[0]]):
        first, last = order[source], order[target]
        if last == first + 1 and (source, target) not in straight:
            straight.append((source, target))
            continue
        lane = next(
            lane for lane in range(len(graph))
            if not any(lane == other and first < end and begin < last for begin, end, other in taken)
        )
        taken.append((first, last, lane))
        branches.append((source, target, lane, identity))
    return straight, branches


def _middle(y):
    return y + ROW / 2 - 5


def _block(y, wide, tall, deep):
    """Return one block: face in front, channels going back to the upper right."""
    x, y, up = SPINE - wide / 2 - deep / 2, _middle(y) - tall / 2 + deep / 4, deep / 2
    right, bottom, back = x + wide, y + tall, x + wide + deep
    faces = (
        ("side", [(right, y), (back, y - up), (back, bottom - up), (right, bottom)]),
        ("top", [(x, y), (x + deep, y - up), (back, y - up), (right, y)]),
        ("face", [(x, y), (right, y), (right, bottom), (x, bottom)]),
    )
    return element("g", *(
        element("polygon", class_=kind, points=" ".join(f"{px:.1f},{py:.1f}" for px, py in points))
        for kind, points in faces
    ), class_="block")


def _extent(y, size):
    """Return (top, bottom) of a block."""
    _, tall, deep = size
    return _middle(y) - tall / 2 - deep / 4, _middle(y) + tall / 2 + deep / 4


def _straight(place, scale, shapes, source, target):
    start = _extent(place[source], scale.block(shapes[source]))[1] + 2
    end = _extent(place[target], scale.block(shapes[target]))[0] - 3
    return element("path", class_="edge", d=f"M{SPINE} {start:.1f}V{end:.1f}" + _head(SPINE, end, down=True))


def _branch(place, scale, shapes, source, target, lane, identity):
    x, bend = SPINE - SIDE - 22 - lane * LANE, 9
    ends = []
    for name in (source, target):
        wide, _, deep = scale.block(shapes[name])
        ends.append((SPINE - wide / 2 - deep / 2 - 3, _middle(place[name])))
    (x0, y0), (x1, y1) = ends
    path = (
        f"M{x0:.1f} {y0:.1f}H{x + bend}Q{x} {y0:.1f} {x} {y0 + bend:.1f}V{y1 - bend:.1f}"
        f"Q{x} {y1:.1f} {x + bend} {y1:.1f}H{x1 - 1:.1f}" + _head(x1, y1, down=False)
    )
    drawn = [element("path", class_="edge branch", d=path)]
    if identity:
        at = f"rotate(-90 {x - 4} {(y0 + y1) / 2:.1f})"
        drawn.append(element(
            "text", "identity", class_="small", x=x - 4, y=(y0 + y1) / 2, transform=at, text_anchor="middle",
        ))
    return element("g", *drawn)


def _head(x, y, down):
    """Return the path of an arrow's head that ends in (x, y)."""
    if down:
        return f"M{x - 3} {y - 5:.1f}L{x} {y:.1f}L{x + 3} {y - 5:.1f}"
    return f"M{x - 5:.1f} {y - 3:.1f}L{x:.1f} {y:.1f}L{x - 5:.1f} {y + 3:.1f}"


def _words(y, lines):
    top = _middle(y) - 7 * (len(lines) - 1) + 3
    return [
        element("text", line, class_="name" if i == 0 else "small", x=TEXT, y=top + 14 * i)
        for i, line in enumerate(lines)
    ]
