"""Pixels of the Shapes world: a scene at any times, at any size.

Everything is a function of the scene alone, so the same scene gives the same picture in every process. Things
are drawn from signed distances inside their bounding boxes, all frames at once, with the coverage of a pixel
taken from the distance (analytic antialiasing); only the background is computed on the full picture, once a
scene.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vidsift.shapes.world import Event, Scene, Thing

__all__ = ["ThingState", "outline", "render", "thing_state"]

Array: TypeAlias = NDArray[np.floating[Any]]

_PAINT = {
    "red": (222, 40, 42), "orange": (245, 138, 28), "yellow": (250, 225, 55), "green": (38, 172, 72),
    "blue": (42, 88, 228), "purple": (142, 58, 190), "pink": (252, 140, 196), "white": (248, 248, 248),
}  # fmt: skip
_OUTLINE = 14.0
_OUTLINE_WIDTH = 0.1
# A turned square reaches 1.16 radii out, a triangle 1.17: boxes are a little wider.
_EXTENT = 1.2
_SPIN_DEGREES_PER_SECOND = 100.0
_BLINK_SECONDS = 0.7
_FADE_SECONDS = 0.15


class ThingState(NamedTuple):
    """Where a thing is and how it shows at each time, all ``(frames,)``."""

    x: Array
    y: Array
    scale: Array
    angle: Array
    alpha: Array
    moves: bool


def _progress(event: Event, times: Array) -> Array:
    span = event.end_seconds - event.start_seconds
    done: Array = np.clip((times - event.start_seconds) / span, 0.0, 1.0).astype(np.float32)
    return done


def _turns(event: Event) -> int:
    # Half as long events turn half as often: the pace is the same.
    return 2 if event.end_seconds - event.start_seconds > 2.5 else 1


def _path(event: Event, done: Array) -> tuple[Array | float, Array | float]:
    """Return the offsets along x and y of an event of one thing."""
    if event.motion in ("left", "right"):
        return (1 if event.motion == "left" else -1) * event.reach * (1 - 2 * done), 0.0
    if event.motion in ("up", "down"):
        return 0.0, (1 if event.motion == "up" else -1) * event.reach * (1 - 2 * done)
    if event.motion == "circle":
        angle = 2 * math.pi * _turns(event) * done * event.turn
        return event.reach * np.sin(angle), -event.reach * np.cos(angle)
    hops = 2 * _turns(event)
    return 0.0, event.reach * (1 - 2 * np.abs(np.sin(math.pi * hops * done)))


def _pair_offset(event: Event, done: Array, is_subject: bool, things: Sequence[Thing]) -> Array | float:
    """Return the offset along the shared axis of one of two things."""
    assert event.partner is not None
    if event.motion != "collide":
        return event.turn * event.reach * (1 - 2 * done) if is_subject else 0.0
    first, second = things[event.subject].radius, things[event.partner].radius
    # They meet at 0.92 of both radii, which most shapes do not fill.
    apart = (first + second) * 0.46 + (event.reach - (first + second) * 0.46) * np.abs(1 - 2 * done)
    return event.turn * apart * (1 if is_subject else -1)


def thing_state(scene: Scene, index: int, times: Array) -> ThingState:
    """Return where a thing is and how it shows at some seconds, ``(frames,)``."""
    thing = scene.things[index]
    x = np.full_like(times, thing.x)
    y = np.full_like(times, thing.y)
    scale, angle, alpha = np.ones_like(times), np.zeros_like(times), np.ones_like(times)
    moves = False
    for event in scene.events:
        if index not in (event.subject, event.partner):
            continue
        moves = True
        done = _progress(event, times)
        if event.partner is not None:
            offset = _pair_offset(event, done, index == event.subject, scene.things)
            if event.across:
                x += offset
            else:
                y += offset
        elif event.motion in ("grow", "shrink"):
            scale *= 0.6 + 0.8 * (done if event.motion == "grow" else 1 - done)
        elif event.motion == "spin":
            inside = np.clip(times, event.start_seconds, event.end_seconds) - event.start_seconds
            angle += event.turn * math.radians(_SPIN_DEGREES_PER_SECOND) * inside
        elif event.motion == "blink":
            phase = np.mod((times - event.start_seconds) / _BLINK_SECONDS, 1.0)
            alpha *= np.where((done > 0) & (done < 1) & (phase >= 0.5), 0.0, 1.0)
        elif event.motion in ("appear", "vanish"):
            middle = (event.start_seconds + event.end_seconds) / 2
            shown = np.clip((times - middle) / _FADE_SECONDS + 0.5, 0.0, 1.0)
            alpha *= shown if event.motion == "appear" else 1 - shown
        else:
            dx, dy = _path(event, done)
            x += dx
            y += dy
    return ThingState(x, y, scale, angle, alpha, moves)


def _box(u: Array, v: Array, half_u: float, half_v: float) -> Array:
    return np.maximum(np.abs(u) - half_u, np.abs(v) - half_v)


def _folded(u: Array, v: Array, points: int, outer: float, inner: float) -> Array:
    """Distance to a star with so many points, by folding the plane onto half a point."""
    sector = math.pi / points
    angle = np.abs(np.mod(np.arctan2(u, -v) + sector, 2 * sector) - sector)
    radius = np.hypot(u, v)
    along, side = radius * np.cos(angle), radius * np.sin(angle)
    ax, ay = inner * math.cos(sector) - outer, inner * math.sin(sector)
    length = math.hypot(ax, ay)
    distance: Array = ((along - outer) * ay - side * ax) / length
    return distance


def _distance(shape: str, u: Array, v: Array) -> Array:  # noqa: PLR0911
    """Signed distance to the edge of a shape of radius 1, negative inside."""
    if shape == "disc":
        return np.hypot(u, v) - 0.95
    if shape == "square":
        return _box(u, v, 0.82, 0.82)
    if shape == "triangle":
        triangle: Array = np.maximum(v - 0.62, 0.866 * np.abs(u) - 0.5 * v - 0.55)
        return triangle
    if shape == "star":
        return _folded(u, v, 5, 1.12, 0.46)
    if shape == "ring":
        return np.abs(np.hypot(u, v) - 0.7) - 0.27
    if shape == "cross":
        return np.minimum(_box(u, v, 1.0, 0.34), _box(u, v, 0.34, 1.0))
    if shape == "heart":
        side = np.abs(u)
        lobe = np.hypot(side - 0.47, v + 0.38) - 0.51
        point = np.maximum((side + v) * 0.7071 - 0.64, np.maximum(-v - 0.38, side - 0.98))
        heart: Array = np.minimum(lobe, point)
        return heart
    moon: Array = np.maximum(np.hypot(u, v) - 0.98, 0.8 - np.hypot(u - 0.48, v + 0.12))
    return moon


@cache
def outline(shape: str) -> Array:
    """Return points around a shape of radius 1, upright: across and downward from its middle, ``(N, 2)``.

    They are the farthest ones in so many directions, so that any box around them is one around the shape.
    """
    direction_D1 = np.arange(240)[:, None] * (2 * math.pi / 240)
    radius_R = np.arange(0.0, _EXTENT, 0.005)
    u_DR, v_DR = radius_R * np.cos(direction_D1), radius_R * np.sin(direction_D1)
    inside_DR = _distance(shape, u_DR, v_DR) <= 1e-6
    farthest_D = np.where(inside_DR, radius_R, 0.0).argmax(axis=1)
    points_D2 = np.stack([u_DR, v_DR], axis=-1)[np.arange(len(u_DR)), farthest_D]
    # The middle of a moon is none of it.
    return np.asarray(points_D2[inside_DR.any(axis=1)], np.float64)


def _pattern(texture: str, u: Array, v: Array) -> Array:
    """Share of the dark second colour, 0 to 1, in coordinates that turn with the thing."""
    if texture == "striped":
        stripes: Array = np.clip(0.5 + 2.0 * np.sin(8.5 * v), 0.0, 1.0)
        return stripes
    if texture == "checkered":
        checks: Array = np.clip(0.5 + 3.0 * np.sin(6.3 * u) * np.sin(6.3 * v), 0.0, 1.0)
        return checks
    spots: Array = np.clip(0.5 + 2.6 * (np.cos(8.5 * u) + np.cos(8.5 * v) - 0.75), 0.0, 1.0)
    return spots


def _draw(canvas: Array, thing: Thing, state: ThingState, size_px: int) -> None:
    """Blend one thing into all frames of ``canvas (F, S, S, 3)``, in place."""
    radius_px = (thing.radius * size_px * state.scale).astype(np.float32)
    half = math.ceil(float(radius_px.max()) * _EXTENT) + 1
    grid = np.arange(-half, half + 1, dtype=np.float32) + np.float32(0.5)
    left = np.floor(state.x * size_px).astype(np.int64)
    top = np.floor(state.y * size_px).astype(np.int64)
    across = ((grid[None] + (left - state.x * size_px)[:, None]) / radius_px[:, None]).astype(np.float32)
    downward = ((grid[None] + (top - state.y * size_px)[:, None]) / radius_px[:, None]).astype(np.float32)
    u, v = across[:, None, :], downward[:, :, None]
    if state.angle.any():
        cos, sin = np.cos(state.angle)[:, None, None], np.sin(state.angle)[:, None, None]
        u, v = u * cos + v * sin, v * cos - u * sin
    # In radii, so times the radius it is in pixels: half a pixel about the edge is blended.
    distance = _distance(thing.shape, u, v)
    pixels = radius_px[:, None, None]
    cover = np.clip(0.5 - distance * pixels, 0.0, 1.0) * state.alpha[:, None, None]
    edge = np.clip(0.5 + (distance + _OUTLINE_WIDTH) * pixels, 0.0, 1.0)[..., None]
    paint = np.array(_PAINT[thing.colour], dtype=np.float32)
    if thing.texture == "plain":
        colour = paint + edge * (_OUTLINE - paint)
    else:
        dark = 0.22 * paint
        colour = paint + np.broadcast_to(_pattern(thing.texture, u, v), distance.shape)[..., None] * (
            dark - paint
        )
        colour = colour + edge * (_OUTLINE - colour)
    _paste(canvas, colour, cover[..., None], left - half, top - half)


def _paste(
    canvas: Array, colour: Array, cover: Array, left: NDArray[np.int64], top: NDArray[np.int64]
) -> None:
    size = canvas.shape[1]
    side = cover.shape[1]
    for f in range(len(canvas)):
        x0, y0 = int(left[f]), int(top[f])
        a, b = max(x0, 0), min(x0 + side, size)
        c, d = max(y0, 0), min(y0 + side, size)
        if a >= b or c >= d:
            continue
        inside = (slice(c - y0, d - y0), slice(a - x0, b - x0))
        target = canvas[f, c:d, a:b]
        # A view of the canvas: blended in place.
        target += cover[f][inside] * (colour[f][inside] - target)


@lru_cache(maxsize=8)
def _grid(size_px: int) -> tuple[Array, Array]:
    line = ((np.arange(size_px) + 0.5) / size_px).astype(np.float32)
    return line[None, :], line[:, None]


def _tint(base: Sequence[int], pattern: Array, swing: Sequence[int]) -> Array:
    swung: Array = np.asarray(base, np.float32) + pattern[..., None] * np.asarray(swing, np.float32)
    return swung


def _stars(x: Array, y: Array, look: Sequence[float]) -> Array:
    index = np.arange(26, dtype=np.float32)
    # Inverses of the golden ratio and of the plastic number: points that are spread, without a draw.
    at_x = np.mod(look[0] + index * 0.6180340, 1.0)[:, None]
    at_y = np.mod(look[1] + index * 0.7548777, 1.0)[:, None]
    wide = 0.007
    along = np.exp(-(((x - at_x) / wide) ** 2))
    down = np.exp(-(((y.T - at_y) / wide) ** 2))
    lights: Array = down.T @ along
    return lights


def _background(name: str, size_px: int, look: Sequence[float]) -> Array:  # noqa: PLR0911
    """Return the empty picture ``(S, S, 3)``."""
    x, y = _grid(size_px)
    p, q, r = (2 * math.pi * value for value in look[:3])
    if name == "night":
        return _tint((20, 24, 52), _stars(x, y, look), (130, 130, 110))
    if name == "grass":
        blades = np.sin(61 * x + 3 * np.sin(9 * y + p) + q) * np.sin(37 * y + 2 * np.sin(7 * x + r))
        return _tint((72, 112, 54), blades, (14, 20, 10))
    if name == "sand":
        ripples = np.sin(30 * y + 2.2 * np.sin(7 * x + p) + q) + 0.4 * np.sin(13 * x + r)
        return _tint((198, 172, 124), ripples, (11, 10, 8))
    if name == "snow":
        return _tint((222, 230, 238), np.sin(5 * x + p) * np.sin(6 * y + q), (12, 9, 6))
    if name == "bricks":
        row = y * 8 + look[0]
        across = x * 5 + 0.5 * (np.floor(row) % 2) + look[1]
        gap = np.minimum(np.minimum(row % 1, 1 - row % 1) / 8, np.minimum(across % 1, 1 - across % 1) / 5)
        return _tint((132, 76, 62), np.clip((0.008 - gap) * 160, 0, 1), (50, 60, 60))
    if name == "wood":
        grain = np.sin(42 * y + 2.5 * np.sin(4 * x + p) + q) + 0.5 * np.sin(95 * y + r + 3 * x)
        return _tint((128, 92, 58), grain, (12, 10, 7))
    if name == "water":
        waves = np.sin(26 * y + 1.6 * np.sin(11 * x + p) + q) * (0.7 + 0.3 * np.sin(8 * x + r))
        return _tint((46, 116, 138), waves, (10, 18, 18))
    squares = np.sin(6 * math.pi * x + p) * np.sin(6 * math.pi * y + q)
    return _tint((138, 138, 140), np.clip(squares * 8, -1, 1), (17, 17, 17))


def _drawing_order(scene: Scene) -> list[int]:
    order = list(range(len(scene.things)))
    for event in scene.events:
        if event.motion in ("behind", "front"):
            # Who passes behind is drawn first, who passes in front last.
            order.remove(event.subject)
            order.insert(0 if event.motion == "behind" else len(order), event.subject)
    return order


def render(scene: Scene, times_seconds: ArrayLike, size_px: int = 128) -> NDArray[np.uint8]:
    """Return the pictures of a scene at the given times.

    Args:
        scene: what to draw.
        times_seconds: when, ``(F,)``, in any order; before its first and after its last event a scene
            stands still.
        size_px: height and width of the picture, at least 8.

    Returns:
        RGB, uint8, ``(F, size_px, size_px, 3)``.

    Raises:
        ValueError: no times, or a size under 8.
    """
    times = np.atleast_1d(np.asarray(times_seconds, dtype=np.float32))
    if times.ndim != 1 or not len(times):
        raise ValueError(f"times_seconds has shape {times.shape}: expected one or more times in a row")
    if size_px < 8:
        raise ValueError(f"size_px is {size_px}: expected at least 8")
    light = np.float32(0.92 + 0.16 * scene.look[3])
    canvas = (_background(scene.background, size_px, scene.look) * light)[None].astype(np.float32)
    for index in _drawing_order(scene):
        state = thing_state(scene, index, times)
        if not state.moves and len(canvas) == 1:
            # A still thing under all moving ones is drawn once for all frames.
            state = thing_state(scene, index, times[:1])
        elif len(canvas) == 1:
            canvas = np.repeat(canvas, len(times), axis=0)
        _draw(canvas, scene.things[index], state, size_px)
    if len(canvas) == 1:
        canvas = np.repeat(canvas, len(times), axis=0)
    # Rounded, as astype cuts off.
    pictures: NDArray[np.uint8] = np.clip(canvas + 0.5, 0.0, 255.0).astype(np.uint8)
    return pictures
