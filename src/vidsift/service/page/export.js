// The moments that are shown as a file for other programs: timelines for editors, a table, a playlist.

import * as api from "./api.js";
import { save } from "./cut.js";
import { el, icon, say } from "./dom.js";
import { counted } from "./format.js";

const KINDS = [
  ["otio", "OpenTimelineIO (.otio)"],
  ["fcpxml", "Final Cut, Resolve (.fcpxml)"],
  ["edl", "Edit decision list (.edl)"],
  ["csv", "Table (.csv)"],
  ["m3u8", "Playlist for VLC (.m3u8)"],
];

/** So many moments go into one file. */
const MOST = 500;

/** Build the form; `hits()` are those that it writes, `title()` is what was asked, `label` is its name. */
export function makeExport({ hits, title, label }) {
  const kind = el(
    "select",
    { "aria-label": "Kind of file" },
    ...KINDS.map(([value, words]) => el("option", { value }, words)),
  );
  const send = el("button", { type: "submit", class: "plain" }, "Export");
  const message = el("p", { class: "note", role: "status" });
  const node = el(
    "form",
    { class: "export", "aria-label": label, hidden: true, on: { submit: write } },
    el("span", { class: "choice" }, kind, icon("next")),
    send,
    message,
  );

  async function write(event) {
    event.preventDefault();
    // What is no better than chance stays out, unless there is nothing else.
    const fitting = hits().filter((hit) => hit.match !== "unlikely");
    const chosen = (fitting.length ? fitting : hits()).slice(0, MOST);
    send.disabled = true;
    message.textContent = `Writing ${counted(chosen.length, "moment")} \u2026`;
    try {
      const moments = chosen.map(({ video_id, start, end, score }) => ({ video_id, start, end, score }));
      const { file, name, notes } = await api.exported({ kind: kind.value, title: title(), moments });
      save(file, name ?? `moments.${kind.value}`);
      message.textContent = [`Saved ${counted(chosen.length, "moment")}`, notes].filter(Boolean).join("; ");
      say(message.textContent);
    } catch (error) {
      message.textContent = error.detail || error.title;
    } finally {
      send.disabled = false;
    }
  }

  return {
    node,
    /** Be there while moments are shown. */
    show(there) {
      node.hidden = !there;
      message.textContent = "";
    },
  };
}
