// The heat strip: what each stretch of a video gave to the score, drawn as cells along its length.

import { svg, el } from "./dom.js";
import { clock } from "./format.js";

const WIDTH = 1000;
const HEIGHT = 100;
const FAINTEST = 0.08;

/**
 * Stretch values to 0..1 for the eye: the strongest is 1, the weakest faint; all alike are all in the middle.
 * The numbers themselves are shown elsewhere, unstretched.
 */
export function warmth(values) {
  const real = values.filter((value) => value !== null);
  if (!real.length) return values.map(() => 0);
  const top = Math.max(...real);
  const low = Math.min(...real);
  if (top - low <= 1e-6 * Math.max(1, Math.abs(top))) return values.map((value) => (value === null ? 0 : 0.5));
  return values.map((value) =>
    value === null ? 0 : FAINTEST + (1 - FAINTEST) * ((value - low) / (top - low)) ** 1.4,
  );
}

/** The stretch that each sample stands for: halfway to its neighbours, `start` and `end` at the edges. */
export function stretches(times, start, end) {
  return times.map((time, place) => [
    place ? (times[place - 1] + time) / 2 : Math.min(start, time),
    place + 1 < times.length ? (time + times[place + 1]) / 2 : Math.max(end, time),
  ]);
}

/** At most `bins` cells; where several samples fall into one, the warmest is kept. */
function binned(cells, duration, bins) {
  if (cells.length <= bins) return cells;
  const byBin = new Map();
  for (const cell of cells) {
    const bin = Math.min(bins - 1, Math.floor((((cell.from + cell.to) / 2) * bins) / duration));
    const width = duration / bins;
    const warmest = byBin.get(bin);
    if (!warmest || warmest.warm < cell.warm) byBin.set(bin, { ...cell, from: bin * width, to: (bin + 1) * width });
  }
  return [...byBin.values()];
}

/**
 * A strip along a video.
 *
 * `show({times, values, start, end})` draws samples over a stretch; `mark({moment, segment, cut})` outlines
 * stretches; `at(seconds)` puts the playhead; `secondsAt(event)` reads a pointer.
 */
export function makeStrip({ duration, bins = 120, className = "" }) {
  const whole = Math.max(duration, 1e-3);
  const x = (seconds) => (Math.min(Math.max(seconds, 0), whole) / whole) * WIDTH;
  const segment = svg("rect", { class: "strip-segment", y: 0, height: HEIGHT, width: 0 });
  const cells = svg("g", { class: "strip-cells" });
  const cut = svg("rect", { class: "strip-cut", y: 0, height: HEIGHT, width: 0 });
  const picture = svg(
    "svg",
    {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      class: "strip-picture",
      "aria-hidden": "true",
    },
    segment,
    cells,
    cut,
  );
  const moment = el("span", { class: "strip-moment" });
  const head = el("span", { class: "strip-head" });
  const pointer = el("span", { class: "strip-pointer" }, el("span", { class: "strip-time" }));
  const node = el("div", { class: `strip ${className}` }, picture, moment, head, pointer);

  const place = (rect, stretch) => {
    rect.setAttribute("x", stretch ? x(stretch[0]) : 0);
    rect.setAttribute("width", stretch ? Math.max(0, x(stretch[1]) - x(stretch[0])) : 0);
  };
  const lay = (span, stretch) => {
    span.classList.toggle("shown", Boolean(stretch));
    if (!stretch) return;
    span.style.setProperty("left", `${x(stretch[0]) / 10}%`);
    span.style.setProperty("width", `${Math.max(0, x(stretch[1]) - x(stretch[0])) / 10}%`);
  };

  return {
    node,
    show({ times, values, start = 0, end = whole, kind = "score" }) {
      const warm = warmth(values);
      const drawn = binned(
        stretches(times, start, end).map(([from, to], i) => ({
          from,
          to,
          warm: warm[i],
          time: times[i],
          value: values[i],
        })),
        whole,
        bins,
      );
      node.dataset.kind = kind;
      cells.replaceChildren(
        ...drawn.map((cell) =>
          svg("rect", {
            class: "strip-cell",
            x: x(cell.from).toFixed(2),
            width: Math.max(2, x(cell.to) - x(cell.from) - (drawn.length > 60 ? 0 : 2.5)).toFixed(2),
            y: (HEIGHT * (1 - (0.22 + 0.78 * cell.warm))).toFixed(1),
            height: (HEIGHT * (0.22 + 0.78 * cell.warm)).toFixed(1),
            "fill-opacity": (0.18 + 0.82 * cell.warm).toFixed(3),
            data: { time: cell.time, value: cell.value ?? "" },
          }),
        ),
      );
    },
    mark(stretchesOf) {
      if ("segment" in stretchesOf) place(segment, stretchesOf.segment);
      if ("cut" in stretchesOf) place(cut, stretchesOf.cut);
      if ("moment" in stretchesOf) lay(moment, stretchesOf.moment);
    },
    at(seconds) {
      head.classList.toggle("shown", seconds !== null);
      if (seconds !== null) head.style.setProperty("left", `${x(seconds) / 10}%`);
    },
    point(seconds) {
      pointer.classList.toggle("shown", seconds !== null);
      if (seconds === null) return;
      pointer.style.setProperty("left", `${x(seconds) / 10}%`);
      pointer.classList.toggle("late", x(seconds) > WIDTH * 0.85);
      pointer.classList.toggle("early", x(seconds) < WIDTH * 0.15);
      pointer.firstChild.textContent = clock(seconds);
    },
    secondsAt(event) {
      const box = node.getBoundingClientRect();
      return Math.min(1, Math.max(0, (event.clientX - box.left) / Math.max(1, box.width))) * whole;
    },
  };
}
