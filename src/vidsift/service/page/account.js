// An explanation, read: which words there are, what each gave to the score, where each of them matched.
// Nothing here computes a similarity; it only sums and sorts what the service accounted for.

const SPECIAL = /^<\|.+\|>$/;
const SPOKEN = { "<|startoftext|>": "start", "<|endoftext|>": "end" };

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

function wordOf(text, place) {
  const special = SPECIAL.test(text);
  return { text: special ? (SPOKEN[text] ?? text.slice(2, -2)) : text, special, place, contribution: 0 };
}

/** The frames that a term's tokens belong to, in order of time: [{time, tokens: [n]}]. */
function framesOf(term) {
  if (!term.times_seconds) return [];
  const byTime = new Map();
  term.times_seconds.forEach((time, token) => {
    const key = time.toFixed(3);
    if (!byTime.has(key)) byTime.set(key, { time, tokens: [] });
    byTime.get(key).tokens.push(token);
  });
  return [...byTime.values()].sort((a, b) => a.time - b.time);
}

function readTerm(term) {
  return {
    ...term,
    frames: framesOf(term),
    timed: Boolean(term.times_seconds),
    total: sum(term.contributions.map(sum)),
  };
}

/**
 * Put an explanation into groups of words that belong together.
 *
 * Terms over the same words are one group: PIDRo compares words with frames and with patches, and a word's
 * contribution is what it gave in both.
 *
 * @param explanation the service's account of a hit.
 * @returns {{score, total, groups, times, untimed}} `groups` of {words, terms, timed, total, sentence, taken}
 *   (`taken` off, in a sum of `parts` sentences); `times` of the
 *   frames that were looked at; `untimed` is what tokens without a time gave to the score.
 */
export function readAccount(explanation) {
  const groups = new Map();
  for (const raw of explanation.terms) {
    const term = readTerm(raw);
    // In a sum of sentences each part has words of its own.
    const key = JSON.stringify([raw.sentence, raw.weight < 0, raw.words]);
    if (!groups.has(key)) {
      const { sentence, weight } = raw;
      groups.set(key, { words: raw.words.map(wordOf), terms: [], sentence, taken: weight < 0 });
    }
    const group = groups.get(key);
    group.terms.push(term);
    raw.contributions.forEach((row, place) => {
      group.words[place].contribution += sum(row);
    });
  }
  const all = [...groups.values()];
  for (const group of all) {
    group.timed = group.terms.find((term) => term.timed) ?? null;
    group.total = sum(group.words.map((word) => word.contribution));
  }
  const times = new Map();
  for (const group of all) {
    for (const term of group.terms) {
      for (const frame of term.frames) times.set(frame.time.toFixed(3), frame.time);
    }
  }
  return {
    start: explanation.start,
    end: explanation.end,
    mapsOnRequest: explanation.maps_on_request,
    notes: [...new Set(explanation.terms.map((term) => term.note).filter(Boolean))],
    parts: new Set(all.map((group) => `${group.sentence} ${group.taken}`)).size,
    score: explanation.score,
    total: sum(all.map((group) => group.total)),
    groups: all,
    times: [...times.values()].sort((a, b) => a - b),
    untimed: sum(all.flatMap((group) => group.terms.filter((term) => !term.timed).map((term) => term.total))),
  };
}

function frameAt(term, time) {
  return term?.frames.find((frame) => Math.abs(frame.time - time) < 2e-3) ?? null;
}

/** Where a word matched: for each time its similarity (the best token's) and what it gave there. */
export function wordOverTime(account, group, place) {
  const at = (time) => {
    const frame = frameAt(group.timed, time);
    return frame ? Math.max(...frame.tokens.map((token) => group.timed.values[place][token])) : null;
  };
  const gave = (time) =>
    sum(
      group.terms.flatMap((term) =>
        (frameAt(term, time)?.tokens ?? []).map((token) => term.contributions[place][token]),
      ),
    );
  return { times: account.times, values: account.times.map(at), contributions: account.times.map(gave) };
}

/** What every frame gave to the score, over all words and terms. */
export function framesOverTime(account) {
  const gave = (time) =>
    sum(
      account.groups.flatMap((group) =>
        group.terms.flatMap((term) =>
          (frameAt(term, time)?.tokens ?? []).flatMap((token) => term.contributions.map((row) => row[token])),
        ),
      ),
    );
  return { times: account.times, values: account.times.map(gave) };
}

/** Which words a frame showed: for each group {values, contributions, best}, `best` the word it met best. */
export function frameOverWords(group, time) {
  const frame = frameAt(group.timed, time);
  if (!frame) return null;
  const { values, best_text_token: bestOf } = group.timed;
  const column = group.words.map((_, place) => Math.max(...frame.tokens.map((token) => values[place][token])));
  const contributions = group.words.map((_, place) =>
    sum(
      group.terms.flatMap((term) =>
        (frameAt(term, time)?.tokens ?? []).map((token) => term.contributions[place][token]),
      ),
    ),
  );
  const top = (token) => values[bestOf[token]]?.[token] ?? -Infinity;
  const strongest = frame.tokens.reduce((best, token) => (top(token) > top(best) ? token : best));
  return { values: column, contributions, best: bestOf[strongest] };
}

/** The term of a group that says where in the picture its tokens are; null where none does. */
export function mapTerm(group) {
  return group?.terms.find((term) => term.grid) ?? null;
}

/**
 * Where in the picture a word matched, or, without a word, what gave most.
 *
 * @param place of the word; null for all of them.
 * @param time of the frame; for a map over all frames it means nothing.
 * @returns {{grid, cells, kind, noun, number}} `cells` of {place, value}, places counted row by row. `kind` is
 *   "share" (of each patch in the one token of the frame that the word met best, number `number`), "alike" (the
 *   word and the places) or "gave" (what the places gave to the score).
 */
export function onPicture(group, place, time) {
  const term = mapTerm(group);
  const { grid } = term;
  const noun = term.name.split("-").at(-1);
  const gave = (token) => sum(term.contributions.map((row) => row[token]));
  const met = (token) => (place === null ? gave(token) : term.values[place][token]);
  if (!term.patches) {
    const cells = term.group.map((at, token) => ({ place: at, value: met(token) }));
    return { grid, cells, kind: place === null ? "gave" : "alike", noun, number: 0 };
  }
  const tokens = frameAt(term, time)?.tokens ?? [];
  if (!tokens.length) return { grid, cells: [], kind: "share", noun, number: 0 };
  const best = tokens.reduce((top, token) => (met(token) > met(top) ? token : top));
  const cells = term.patches[best].map((value, at) => ({ place: at, value })).filter((cell) => cell.value > 0);
  return { grid, cells, kind: "share", noun, number: term.group?.[best] ?? 0 };
}

/** The time at which a word met its best frame; null where the tokens have no time. */
export function bestTime(group, place) {
  const term = group.timed;
  return term ? (term.times_seconds[term.best_video_token[place]] ?? null) : null;
}

/** The looked-at time nearest to a second. */
export function nearest(times, seconds) {
  if (!times.length) return null;
  return times.reduce((best, time) => (Math.abs(time - seconds) < Math.abs(best - seconds) ? time : best));
}
