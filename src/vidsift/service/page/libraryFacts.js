// How much is in the library, in words; what only some want to know is folded away.

import { aboutModel } from "./aboutModel.js";
import { el } from "./dom.js";
import { amountOfTime, bytes, counted, number, visible } from "./format.js";

/** The figures at the head of the library, what its model knows, and the technical details. */
export function factsOf(overview) {
  const [amount, unit] = amountOfTime(overview.duration);
  const facts = [
    [number(overview.videos), overview.videos === 1 ? "video" : "videos"],
    [amount, `${unit} in all`],
    [number(overview.failed), "not readable"],
  ];
  return [
    el(
      "dl",
      { class: "big-facts" },
      ...facts.map(([value, name]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
    ),
    overview.model && !overview.calibrated
      ? el("p", { class: "note" }, "With so few videos, vidsift cannot tell yet when nothing fits a question.")
      : "",
    aboutModel(),
    overview.model ? details(overview) : "",
  ];
}

function details(overview) {
  const pairs = [
    ["Model", visible(overview.model)],
    ["Method", visible(overview.method ?? "")],
    ["Searched in", counted(overview.segments, "segment")],
    ["Size of the index", bytes(overview.bytes_on_disk)],
  ].filter(([, value]) => value);
  return el(
    "details",
    { class: "numbers" },
    el("summary", {}, "Technical details"),
    el("dl", { class: "pairs" }, ...pairs.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
  );
}

/** Why the folders count more than there are videos: the same video may lie in several places. */
export function copiesOf(overview) {
  if (overview.files <= overview.videos) return "";
  return el(
    "p",
    { class: "note copies" },
    `${counted(overview.files, "file")} hold ${counted(overview.videos, "different video")}: ` +
      "one that lies in several places is found once.",
  );
}
