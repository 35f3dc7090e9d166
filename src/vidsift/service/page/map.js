// Where in the picture: squares over a frame, the larger the more. What they mean stands beside them.

import { bestTime, bestTimeOfTerm, comparedGroup, mapTerm, onPicture, strongestTime } from "./account.js";
import { thumbnail } from "./api.js";
import { bdi, el, svg } from "./dom.js";
import { fineClock, part, visible } from "./format.js";
import { warmth } from "./strip.js";

const LARGEST = 0.94;
const WIDE = [16, 9];

/** The squares of a map, in units of its grid; each holds its place and its exact value. */
function squares({ cells, kind }) {
  const values = cells.map((cell) => cell.value);
  const top = Math.max(...values.map(Math.abs), 1e-12);
  // Likenesses lie close together: their differences are shown. Shares and parts are shown as they are.
  const strong = kind === "alike" ? warmth(values) : values.map((value) => Math.abs(value) / top);
  return (columns) =>
    cells.map(({ place, value }, at) => {
      const side = LARGEST * Math.sqrt(strong[at]);
      const box = {
        x: ((place % columns) + (1 - side) / 2).toFixed(3),
        y: (Math.floor(place / columns) + (1 - side) / 2).toFixed(3),
        width: side.toFixed(3),
        height: side.toFixed(3),
      };
      return svg(
        "g",
        { class: value < 0 ? "map-cell took" : "map-cell", data: { place, value } },
        svg("rect", { class: "map-halo", ...box }),
        svg("rect", { class: "map-square", ...box }),
      );
    });
}

/**
 * The part of a picture that the model looks at: a square of its stored pixels, which a player may stretch.
 *
 * @param image a frame as a player shows it.
 * @param stored width over height of the stored pixels; 0 where it is not known and they count as square.
 * @returns {{shown: number, wide: number, high: number}} width over height as shown, and parts of the two.
 */
function lookedAt(image, stored) {
  const usual = stored || WIDE[0] / WIDE[1];
  const shown = image.naturalWidth ? image.naturalWidth / image.naturalHeight : usual;
  const ratio = stored || shown;
  return { shown, wide: Math.min(1, 1 / ratio), high: Math.min(1, ratio) };
}

/**
 * A map over a small frame that is shown whole: the squares lie on the middle that the model looks at.
 *
 * @param stored gives what is known of the stored pixels, see lookedAt.
 */
export function makeOverlay(image, stored = () => 0) {
  const inside = svg("svg", { class: "map-inside", preserveAspectRatio: "none" });
  const node = svg(
    "svg",
    { class: "map-over", viewBox: `0 0 ${WIDE.join(" ")}`, "aria-hidden": "true", focusable: "false" },
    inside,
  );

  function lay() {
    const { shown, wide, high } = lookedAt(image, stored());
    const width = wide * Math.min(WIDE[0], WIDE[1] * shown);
    const height = high * Math.min(WIDE[1], WIDE[0] / shown);
    const box = { x: (WIDE[0] - width) / 2, y: (WIDE[1] - height) / 2, width, height };
    for (const [name, value] of Object.entries(box)) inside.setAttribute(name, value.toFixed(3));
  }
  image.addEventListener("load", lay);
  lay();

  return {
    node,
    lay,
    show(map) {
      if (!map) {
        inside.replaceChildren();
        return;
      }
      const [rows, columns] = map.grid;
      inside.setAttribute("viewBox", `0 0 ${columns} ${rows}`);
      inside.replaceChildren(...squares(map)(columns));
    },
  };
}

/** The panel with one large frame and its map. */
export function makeMap(stored = () => 0) {
  const picture = el("img", { class: "map-picture", alt: "", width: 320, height: 320, decoding: "async" });
  const over = svg("svg", { class: "map-over", role: "img", preserveAspectRatio: "none" });
  const caption = el("p", { class: "map-said", id: "map-said" });
  const strongest = el("p", { class: "map-strongest" });
  const note = el("p", { class: "note map-note" });
  const table = el("div", { class: "map-table" });
  const details = el("details", { class: "numbers" }, el("summary", {}, "The map in numbers"), table);
  const stage = el("div", { class: "map-stage" }, picture, over);
  const node = el(
    "section",
    { class: "map", "aria-labelledby": "map-title", hidden: true },
    el(
      "div",
      { class: "map-lens" },
      el("h3", { id: "map-title" }, "Where in the picture"),
      el(
        "div",
        { class: "map-place" },
        el("div", { class: "map-room" }, stage),
        el("div", { class: "map-words" }, caption, strongest),
      ),
    ),
    el("div", { class: "map-below" }, note, details),
  );
  let account = null;
  let video = "";
  let map = null;

  details.addEventListener("toggle", () => fillTable());
  picture.addEventListener("load", lay);

  /** Give the large frame the shape in which a player shows what the model looks at. */
  function lay() {
    const { shown, wide, high } = lookedAt(picture, stored());
    const aspect = (shown * wide) / high;
    stage.style.setProperty("width", `${(100 * Math.min(1, aspect)).toFixed(2)}%`);
    stage.style.setProperty("aspect-ratio", aspect.toFixed(4));
  }

  function clear(words) {
    map = null;
    over.replaceChildren();
    over.setAttribute("aria-label", words);
    caption.replaceChildren(words);
    strongest.textContent = "";
    picture.classList.add("missing");
    picture.removeAttribute("src");
    details.classList.add("idle");
  }

  /** The frame to show where none is pointed at: the one that the word met best, or that gave most. */
  function usualTime(group, place) {
    if (place !== null) {
      const term = mapTerm(group);
      const time = term.timed ? bestTimeOfTerm(term, place) : bestTime(account, group, place);
      if (time !== null) return time;
    }
    return strongestTime(account);
  }

  function draw(group, place, time) {
    map = onPicture(group, place, time);
    const [rows, columns] = map.grid;
    over.setAttribute("viewBox", `0 0 ${columns} ${rows}`);
    over.replaceChildren(...squares(map)(columns));
    picture.classList.toggle("missing", time === null);
    const source = time === null ? "" : thumbnail(video, time, 320);
    if (source && picture.getAttribute("src") !== source) picture.setAttribute("src", source);
    caption.replaceChildren(...wordsOf(group, place, time));
    strongest.textContent = strongestOf();
    over.setAttribute("aria-label", `${caption.textContent} ${strongest.textContent}`);
    details.classList.toggle("idle", !map.cells.length);
    fillTable();
  }

  function wordsOf(group, place, time) {
    const quoted = place === null ? [] : ["\u201c", bdi(visible(group.words[place].text)), "\u201d"];
    const when = time === null ? "" : `at ${fineClock(time)}`;
    if (map.kind === "alike") return ["How alike ", ...quoted, " and each place are, in all frames together."];
    if (map.kind === "gave") return ["What each place gave to the score, in all frames together."];
    const token = map.noun === "frame" ? "the frame" : `${visible(map.noun)} ${map.number + 1}`;
    const met = place === null ? [`${token} ${when} gave most`] : [...quoted, ` met ${token} ${when}`];
    return map.cells.length
      ? [...met, map.noun === "frame" ? ", with these patches." : ", made of these patches."]
      : [...met, ": the frame as a whole, without a place in it."];
  }

  function strongestOf() {
    if (!map.cells.length) return "";
    const best = map.cells.reduce((top, cell) => (cell.value > top.value ? cell : top));
    const equal = map.cells.filter((cell) => cell.value === best.value);
    const at = ({ place }) =>
      `row ${Math.floor(place / map.grid[1]) + 1}, column ${(place % map.grid[1]) + 1}`;
    if (equal.length > 1 && equal.length === map.cells.length) return `Chosen: ${equal.map(at).join("; ")}.`;
    return `The larger the square, the more. Most: ${at(best)} (${part(best.value, 2)}).`;
  }

  function fillTable() {
    if (!details.open || !map) return;
    const [rows, columns] = map.grid;
    const of = new Map(map.cells.map((cell) => [cell.place, cell.value]));
    const heads = Array.from({ length: columns }, (_, at) => el("th", { scope: "col" }, String(at + 1)));
    const row = (at) => {
      const cells = Array.from({ length: columns }, (_, column) => of.get(at * columns + column));
      return el(
        "tr",
        {},
        el("th", { scope: "row" }, String(at + 1)),
        ...cells.map((value) => el("td", {}, value === undefined ? "" : part(value, 2))),
      );
    };
    table.replaceChildren(
      el(
        "div",
        { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "The map in numbers" },
        el(
          "table",
          {},
          el("caption", {}, caption.textContent),
          el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Row"), ...heads)),
          el("tbody", {}, ...Array.from({ length: rows }, (_, at) => row(at))),
        ),
      ),
    );
  }

  return {
    node,
    lay,
    /** Take an account; says whether it has a map, or will have one. */
    load(read, videoId) {
      account = read;
      video = videoId;
      const group = account?.groups.find(mapTerm);
      const coming = Boolean(account?.mapsOnRequest && !group);
      node.hidden = !group && !coming;
      note.textContent = group ? visible(mapTerm(group).map_note) : "";
      node.classList.toggle("asked", Boolean(account?.mapsOnRequest));
      if (coming) clear("Looking at the frames again \u2026");
      return !node.hidden;
    },
    /** There will be none after all. */
    miss: (reason) => clear(`There is no map: ${reason}`),
    /** Show where a word matched, in a frame; null is any of them. */
    show(target, time) {
      const first = account?.groups.findIndex(mapTerm) ?? -1;
      if (first < 0) return;
      // A word that the model did not compare by itself has no place of its own: the picture's stays.
      const pointedGroup = target ? comparedGroup(account, account.groups[target.group]) : null;
      if (pointedGroup && !mapTerm(pointedGroup)) {
        clear("This was compared with parts that have no place in the picture.");
        return;
      }
      const group = pointedGroup ?? account.groups[first];
      const place = pointedGroup ? target.place : null;
      draw(group, place, time ?? usualTime(group, place));
    },
  };
}
