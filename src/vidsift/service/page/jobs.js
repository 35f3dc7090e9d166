// Work on the index, as it goes on: what is being done, how far it is, and ways to steer it.

import * as api from "./api.js";
import { bdi, el, say } from "./dom.js";
import { about, counted, fullPath, number, spoken, visible } from "./format.js";
import { action, trouble } from "./states.js";

const VERBS = { add: "Adding", update: "Updating", remove: "Removing", retry: "Trying again" };
const ENDED = { done: "Done", failed: "Failed", cancelled: "Cancelled" };
const LOOK_MS = 2000;

/**
 * A list of jobs; `over(job)` is called when one has ended.
 *
 * Only the job at work is followed step by step: a browser holds few connections to one service. The list of
 * all is looked at now and then, while one of them is open.
 */
export function makeJobs({ over }) {
  const node = el("section", { class: "jobs", "aria-label": "Work on the library" });
  const shown = new Map();
  let timer = 0;
  let followed = null;
  let open = new AbortController();

  function add(job) {
    if (shown.has(job.job_id)) return;
    const row = makeRow(job, (steered) => take(steered));
    shown.set(job.job_id, row);
    node.prepend(row.node);
    take(job);
    turn();
  }

  /** Take what is known of a job now. */
  function take(job) {
    const row = shown.get(job.job_id);
    const wasOpen = row.isOpen();
    row.show(job);
    if (wasOpen && !row.isOpen()) {
      over(job);
      turn();
    }
  }

  /** Follow the oldest open job, and look at the list again as long as there is one. */
  function turn() {
    const [current] = [...shown].find(([, row]) => row.isOpen()) ?? [null];
    if (followed?.jobId !== current) {
      followed?.stop();
      followed = current && { jobId: current, stop: api.follow(current, take, () => look()) };
    }
    window.clearTimeout(timer);
    if (current) timer = window.setTimeout(look, LOOK_MS);
  }

  function retry() {
    node.replaceChildren();
    look();
  }

  async function look() {
    window.clearTimeout(timer);
    try {
      const { data } = await api.jobs(open.signal);
      const known = new Map(data.map((job) => [job.job_id, job]));
      for (const [jobId, row] of shown) {
        if (known.has(jobId)) take(known.get(jobId));
        else if (row.isOpen()) row.lose();
      }
      // The list has the newest first; the oldest runs first.
      for (const job of data.toReversed()) if (!ENDED[job.state]) add(job);
    } catch (error) {
      if (api.isAbort(error)) return;
      if (!shown.size) node.append(trouble(error, retry));
    }
    turn();
  }

  return {
    node,
    start: look,
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
      open.abort();
      open = new AbortController();
      window.clearTimeout(timer);
      followed?.stop();
      followed = null;
      shown.clear();
      node.replaceChildren();
    },
  };
}

function makeRow(job, steered) {
  const title = el("h2", {}, `${VERBS[job.action] ?? visible(job.action)} `);
  job.folders.forEach((path, place) => title.append(place ? ", " : "", bdi(fullPath(path))));
  const bar = el("progress", { max: 1, "aria-label": `Progress of ${title.textContent}` });
  const summary = el("p", { class: "note" });
  const reason = el("p", { class: "detail" });
  const ways = el("div", { class: "job-ways" });
  const node = el("article", { class: "job" }, title, bar, summary, reason, ways);
  let tenth = -1;
  let state = "new";

  async function steer(verb, button) {
    button.disabled = true;
    try {
      steered(await api.steerJob(job.job_id, verb));
    } catch (error) {
      reason.textContent = error.detail || error.title;
      button.disabled = false;
    }
  }

  function show(latest) {
    const { videos_done: done, videos_total: total } = latest.progress;
    node.dataset.state = latest.state;
    if (latest.state === "done") bar.value = 1;
    else if (total) bar.value = done / total;
    else if (ENDED[latest.state]) bar.value = 0;
    else bar.removeAttribute("value");
    summary.textContent = words(latest);
    reason.textContent = latest.error ? visible(latest.error) : "";
    if (latest.state !== state) {
      state = latest.state;
      drawWays();
    }
    const now = total ? Math.floor((10 * done) / total) : -1;
    if (now !== tenth || ENDED[state]) {
      tenth = now;
      say(summary.textContent);
    }
  }

  function drawWays() {
    const way = (text, verb) => action(text, (event) => steer(verb, event.currentTarget), { class: "text" });
    const had = ways.contains(document.activeElement);
    ways.replaceChildren(
      ...(state === "running" ? [way("Pause", "pause")] : []),
      ...(state === "paused" ? [way("Go on", "resume")] : []),
      ...(ENDED[state] ? [] : [way("Cancel", "cancel")]),
    );
    if (had) ways.querySelector("button")?.focus();
  }

  return {
    node,
    show,
    isOpen: () => !ENDED[state] && state !== "lost",
    /** The service was started anew, or has forgotten the job. */
    lose() {
      state = "lost";
      node.dataset.state = state;
      bar.value = 0;
      summary.textContent = "The service knows this work no more. Update the folder to go on where it stopped.";
      ways.replaceChildren();
      say(summary.textContent);
    },
  };
}

const STEPS = { starting: "Starting the model", looking: "Looking for videos" };

function words({ state, progress, report }) {
  const { videos_done: done, videos_total: total, failed, seconds, reading_seconds: reading } = progress;
  const bad = failed ? `, ${number(failed)} not readable` : "";
  const soFar = total ? `${number(done)} of ${counted(total, "video")}${bad}` : `${STEPS[progress.step] ?? "Reading"} \u2026`;
  if (state === "queued") return "Waits for its turn";
  if (state === "paused") return `Paused. ${soFar}`;
  if (ENDED[state]) {
    const gone = report?.missing_count;
    const away = gone ? `. Not there now: ${counted(gone, "place")}, whose videos stay in the library` : "";
    const over = Object.entries(report?.passed_over ?? {}).map(([what, count]) => counted(count, what));
    const rest = `${over.length ? `. Passed over: ${over.join(", ")}` : ""}${away}`;
    return `${ENDED[state]}${total ? `: ${soFar}` : ""}${seconds >= 1 ? `, ${spoken(seconds)}` : ""}${rest}`;
  }
  // From what was read: the seconds in which the model started say nothing of the videos to come.
  const left = done >= 3 && reading > 2 ? `, ${about((reading / done) * (total - done))} left` : "";
  return `${soFar}${left}`;
}
