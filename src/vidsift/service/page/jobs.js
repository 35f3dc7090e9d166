// Work on the index, as it goes on: what is being done, how far it is, and ways to steer it.

import * as api from "./api.js";
import { bdi, el, say } from "./dom.js";
import { counted, fullPath, number, spoken, visible } from "./format.js";
import { action, trouble } from "./states.js";

const VERBS = { add: "Adding", update: "Updating", remove: "Removing", retry: "Trying again" };
const ENDED = { done: "Done", failed: "Failed", cancelled: "Cancelled" };
const OPEN = new Set(["queued", "running", "paused"]);

/** A list of jobs; `over(job)` is called when one has ended. */
export function makeJobs({ over }) {
  const node = el("section", { class: "jobs", "aria-label": "Work on the library" });
  const shown = new Map();

  async function start(signal) {
    try {
      const answer = await api.jobs(signal);
      for (const job of answer.data ?? answer.jobs ?? answer) if (OPEN.has(job.state)) add(job);
    } catch (error) {
      if (!api.isAbort(error)) node.append(trouble(error));
    }
  }

  function add(job) {
    if (shown.has(job.job_id)) return;
    const row = makeRow(job);
    shown.set(job.job_id, row);
    node.prepend(row.node);
    row.show(job);
    row.stop = api.follow(
      job.job_id,
      (one) => one && row.show(one),
      (last) => {
        if (last) row.show(last);
        over(last);
      },
    );
  }

  return {
    node,
    start,
    add,
    trouble(error) {
      node.prepend(trouble(error));
    },
    /** A word below the jobs; the next one takes its place. */
    note(text) {
      node.querySelector(".jobs-note")?.remove();
      node.append(el("p", { class: "note jobs-note" }, text));
      say(text);
    },
    stop() {
      for (const row of shown.values()) {
        row.stop?.();
        row.node.remove();
      }
      shown.clear();
      node.replaceChildren();
    },
  };
}

function makeRow(job) {
  const title = el("h2", {}, `${VERBS[job.action] ?? visible(job.action)} `);
  job.folders.forEach((path, place) => title.append(place ? ", " : "", bdi(fullPath(path))));
  const bar = el("progress", { max: 1, "aria-label": `Progress of ${title.textContent}` });
  const told = el("p", { class: "note" });
  const reason = el("p", { class: "detail" });
  const ways = el("div", { class: "job-ways" });
  const node = el("article", { class: "job" }, title, bar, told, reason, ways);
  let tenth = -1;
  let state = "";

  async function steer(verb, button) {
    button.disabled = true;
    try {
      show(await api.steerJob(job.job_id, verb));
    } catch (error) {
      reason.textContent = error.detail || error.title;
      button.disabled = false;
    }
  }

  function show(one) {
    const { videos_done: done = 0, videos_total: total = 0, failed = 0, seconds = 0 } = one.progress ?? {};
    node.dataset.state = one.state;
    if (one.state === "done") bar.value = 1;
    else if (total) bar.value = done / total;
    else if (OPEN.has(one.state)) bar.removeAttribute("value");
    told.textContent = words(one, done, total, failed, seconds);
    reason.textContent = one.error ? visible(typeof one.error === "string" ? one.error : (one.error.detail ?? "")) : "";
    if (one.state !== state) {
      state = one.state;
      drawWays();
    }
    const now = total ? Math.floor((10 * done) / total) : -1;
    if (now !== tenth || !OPEN.has(one.state)) {
      tenth = now;
      say(told.textContent);
    }
  }

  function drawWays() {
    const way = (text, verb) => action(text, (event) => steer(verb, event.currentTarget), { class: "text" });
    const had = ways.contains(document.activeElement);
    ways.replaceChildren(
      ...(state === "running" || state === "queued" ? [way("Pause", "pause"), way("Cancel", "cancel")] : []),
      ...(state === "paused" ? [way("Go on", "resume"), way("Cancel", "cancel")] : []),
    );
    if (had) ways.querySelector("button")?.focus();
  }

  return { node, show, stop: null };
}

function words(job, done, total, failed, seconds) {
  const bad = failed ? `, ${number(failed)} not readable` : "";
  const soFar = total ? `${number(done)} of ${counted(total, "video")}${bad}` : "Looking for videos \u2026";
  if (job.state === "queued") return "Waits for its turn";
  if (job.state === "paused") return `Paused. ${soFar}`;
  if (ENDED[job.state]) return `${ENDED[job.state]}${total ? `: ${soFar}` : ""}${seconds ? `, ${spoken(seconds)}` : ""}`;
  const left = done >= 3 && seconds > 2 ? `, about ${spoken((seconds / done) * (total - done))} left` : "";
  return `${soFar}${left}`;
}
