// Strips and explanations of hits, asked for when there is time: few at once, each once.

import * as api from "./api.js";

const AT_ONCE = 2;

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
    this.none = null;
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
    if (this.none) return Promise.reject(this.none);
    return this.#once(`explain ${segmentId}`, urgent, async (signal) => {
      try {
        return await api.explain(this.question, segmentId, signal);
      } catch (error) {
        // A black box has no account of any hit: there is no need to ask for the others.
        if (error.status === 422) this.#giveUp(error);
        throw error;
      }
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
      const job = { key, refuse: reject, run: () => ask(this.stopped.signal).then(resolve, reject) };
      if (urgent) this.waiting.unshift(job);
      else this.waiting.push(job);
    });
    // What failed is asked anew the next time; whoever waits is told.
    promise.catch(() => this.cache.delete(key));
    this.cache.set(key, promise);
    this.#next();
    return promise;
  }

  #giveUp(error) {
    this.none = error;
    const hopeless = this.waiting.filter((job) => job.key.startsWith("explain "));
    this.waiting = this.waiting.filter((job) => !hopeless.includes(job));
    for (const job of hopeless) job.refuse(error);
  }

  #hurry(key) {
    const place = this.waiting.findIndex((job) => job.key === key);
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
