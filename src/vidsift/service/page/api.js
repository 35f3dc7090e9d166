// The service's answers; whatever goes wrong arrives as one kind of error with a remedy.

/** What the service said it cannot do, or that it said nothing. */
export class ApiError extends Error {
  /** @param {number} status of the answer; 0 where there was none. */
  constructor(status, title, detail) {
    super(detail || title);
    this.name = "ApiError";
    this.status = status;
    this.title = title;
    this.detail = detail;
  }
}

async function problemOf(answer) {
  let body = {};
  try {
    body = await answer.json();
  } catch {
    // Not every machine between us and the service speaks of problems in JSON.
  }
  const text = (value) => (typeof value === "string" ? value : "");
  return new ApiError(
    answer.status,
    text(body.title) || `The service answered ${answer.status}`,
    text(body.detail),
  );
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(
      0,
      "vidsift does not answer",
      "Is vidsift serve still running? Start it again, then try once more.",
    );
  }
  if (!answer.ok) throw await problemOf(answer);
  return answer;
}

async function json(path, options) {
  const answer = await ask(path, options);
  try {
    return await answer.json();
  } catch {
    throw new ApiError(answer.status, "The answer was cut short", "Try once more.");
  }
}

function post(path, body, signal, method = "POST") {
  return json(path, {
    method,
    signal,
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

/** Whether an error only says that nobody waits any more. */
export function isAbort(error) {
  return error?.name === "AbortError";
}

const id = encodeURIComponent;

export const search = (body, signal) => post("/v1/search", body, signal);
/**
 * Account for a score; where words do not carry it, with how far it falls without each.
 *
 * `question` is {query, verbatim}: as it was written, and whether it is to be taken so.
 */
export const explain = (question, segment, signal, maps) =>
  post("/v1/explain", { ...question, segment_id: segment, maps, leave_out: "auto" }, signal);
export const strip = (question, video, signal) => post("/v1/strip", { ...question, video_id: video }, signal);
export const suggestions = (signal) => json("/v1/suggestions", { signal });
export const overview = (signal) => json("/v1/index", { signal });
export const video = (videoId, signal) => json(`/v1/videos/${id(videoId)}`, { signal });
export const captions = (videoId, k) => json(`/v1/videos/${id(videoId)}/captions?k=${k}`);
export const setTags = (videoId, tags) => post(`/v1/videos/${id(videoId)}/tags`, { tags }, undefined, "PUT");
export const jobs = (signal) => json("/v1/index/jobs", { signal });
export const folders = (path, signal) =>
  json(`/v1/folders${path ? `?path=${id(path)}` : ""}`, { signal });
export const startJob = (action, folders) => post("/v1/index/jobs", { action, folders });
export const steerJob = (jobId, verb) => post(`/v1/index/jobs/${id(jobId)}/${verb}`, {});

export const savedSearches = (signal) => json("/v1/saved-searches", { signal });
export const saveSearch = (name, question) => post("/v1/saved-searches", { name, question });
export const renameSavedSearch = (searchId, name) => rename(`/v1/saved-searches/${id(searchId)}`, name);
export const deleteSavedSearch = (searchId) => drop(`/v1/saved-searches/${id(searchId)}`);
export const collections = (signal) => json("/v1/collections", { signal });
export const collection = (collectionId, signal) => json(`/v1/collections/${id(collectionId)}`, { signal });
export const createCollection = (name) => post("/v1/collections", { name });
export const renameCollection = (collectionId, name) => rename(`/v1/collections/${id(collectionId)}`, name);
export const deleteCollection = (collectionId) => drop(`/v1/collections/${id(collectionId)}`);
export const addMoments = (collectionId, moments) => post(`/v1/collections/${id(collectionId)}/moments`, { moments });
export const removeMoment = (collectionId, momentId) =>
  drop(`/v1/collections/${id(collectionId)}/moments/${id(momentId)}`);

function rename(path, name) {
  return post(path, { name }, undefined, "PATCH");
}

function drop(path) {
  return ask(path, { method: "DELETE" });
}

/** A page of what is in the index. */
export function videos({ limit = 24, ...wanted } = {}, signal) {
  const params = new URLSearchParams({ limit: String(limit) });
  for (const [name, value] of Object.entries(wanted)) if (value) params.set(name, value);
  return json(`/v1/videos?${params}`, { signal });
}

/** The address of a picture of a video at a second. */
export function thumbnail(videoId, seconds, width) {
  return `/v1/videos/${id(videoId)}/thumbnail?at=${Math.max(0, seconds).toFixed(2)}&width=${width}`;
}

/** The address of the video itself. */
export function media(videoId) {
  return `/v1/videos/${id(videoId)}/media`;
}

const TYPES = {
  mkv: "video/x-matroska",
  mov: "video/quicktime",
  avi: "video/x-msvideo",
  ts: "video/mp2t",
  heic: "image/heic",
};

/** Give the service a picture or a video to search with. */
export function upload(file, signal) {
  const ending = file.name.split(".").at(-1).toLowerCase();
  const type = file.type || TYPES[ending] || "video/mp4";
  return json("/v1/uploads", { method: "POST", signal, headers: { "content-type": type }, body: file });
}

/** Cut seconds out of a video: the file and the name that the service gave it. */
export async function clip(videoId, start, end, exact, signal) {
  const answer = await ask("/v1/clips", {
    method: "POST",
    signal,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ video_id: videoId, start, end, exact }),
  });
  const holds = ["start", "end"].map((edge) => Number(answer.headers.get(`x-clip-${edge}-seconds`)));
  return { file: await answer.blob(), name: nameOf(answer), holds };
}

/** Moments as a file for other programs, with what the service says of it. */
export async function exported(wanted, signal) {
  const answer = await ask("/v1/exports", {
    method: "POST",
    signal,
    headers: { "content-type": "application/json" },
    body: JSON.stringify(wanted),
  });
  const notes = decodeURIComponent(answer.headers.get("x-export-notes") ?? "");
  return { file: await answer.blob(), name: nameOf(answer), notes };
}

/** What an answer's file is to be called. */
function nameOf(answer) {
  const disposition = answer.headers.get("content-disposition") ?? "";
  const encoded = /filename\*=UTF-8''([^;]+)/i.exec(disposition)?.[1];
  const plain = /filename="([^"]*)"/i.exec(disposition)?.[1];
  try {
    return encoded ? decodeURIComponent(encoded) : plain;
  } catch {
    return plain;
  }
}

/**
 * Follow a job: `tell(job)` at every step, also the last; `lost()` where the service knows it no more.
 * Returns a function that stops following.
 */
export function follow(jobId, tell, lost) {
  const source = new EventSource(`/v1/index/jobs/${id(jobId)}/events`);
  source.addEventListener("progress", (event) => tell(JSON.parse(event.data)));
  source.addEventListener("done", (event) => {
    source.close();
    tell(JSON.parse(event.data));
  });
  source.addEventListener("error", () => {
    // The browser takes a cut connection up again by itself; a refused one stays closed.
    if (source.readyState === EventSource.CLOSED) lost();
  });
  return () => source.close();
}
