// Strips and explanations of hits, asked for when there is time: few at once, each once.

import * as api from "./api.js";

const AT_ONCE = 2;
const NO_FRAMES = new api.ApiError(422, "No account", "this model cannot say what each frame gave");

/**
 * Answers about the hits of one question. A new question makes a new one and calls `stop()` on the old.
 */
export class Lazy {
  /**
   * @param query the sentence, or the sentences in order.
   * @param verbatim whether it is taken exactly as written.
   */
  constructor(query, verbatim) {
    this.question = { query, verbatim: Boolean(verbatim) };
    this.cache = new Map();
    this.waiting = [];
    this.running = 0;
    this.dark = false;
    this.stopped = new AbortController();
  }

  /** Forget whoever waits. */
  stop() {
    this.waiting = [];
    this.stopped.abort();
  }

  /** Why a segment was found; `urgent` goes before everything that waits. */
  explanation(segmentId, urgent = false) {
    // Sentences in order have no account together; each is asked for by itself.
    if (Array.isArray(this.question.query)) return Promise.reject(new api.ApiError(422, "No account", ""));
    // Of a black box a card can show nothing, and each account costs a look at the pair for every word.
    if (this.dark && !urgent) return Promise.reject(NO_FRAMES);
    return this.#once(`explain ${segmentId}`, urgent, async (signal) => {
      const explanation = await api.explain(this.question, segmentId, signal);
      if (explanation.account_missing) this.#giveUp();
      return explanation;
    });
  }

  /** The same with the patches that tokens come from, for which the video is read again. */
  maps(segmentId) {
    return this.#once(`maps ${segmentId}`, true, (signal) => api.explain(this.question, segmentId, signal, true));
  }

  /** The scores along a whole video. */
  strip(videoId, urgent = false) {
    return this.#once(`strip ${videoId}`, urgent, (signal) => api.strip(this.question, videoId, signal));
  }

  #once(key, urgent, ask) {
    const known = this.cache.get(key);
    if (known) {
      if (urgent) this.#hurry(key);
      return known;
    }
    const promise = new Promise((resolve, reject) => {
      const job = { key, urgent, refuse: reject, run: () => ask(this.stopped.signal).then(resolve, reject) };
      if (urgent) this.waiting.unshift(job);
      else this.waiting.push(job);
    });
    // What failed is asked anew the next time; whoever waits is told.
    promise.catch(() => this.cache.delete(key));
    this.cache.set(key, promise);
    this.#next();
    return promise;
  }

  #giveUp() {
    this.dark = true;
    const hopeless = this.waiting.filter((job) => job.key.startsWith("explain ") && !job.urgent);
    this.waiting = this.waiting.filter((job) => !hopeless.includes(job));
    for (const job of hopeless) job.refuse(NO_FRAMES);
  }

  #hurry(key) {
    const place = this.waiting.findIndex((job) => job.key === key);
    if (place >= 0) this.waiting[place].urgent = true;
    if (place > 0) this.waiting.unshift(...this.waiting.splice(place, 1));
  }

  #next() {
    while (this.running < AT_ONCE && this.waiting.length) {
      this.running += 1;
      this.waiting
        .shift()
        .run()
        .finally(() => {
          this.running -= 1;
          this.#next();
        });
    }
  }
}
