// An explanation, read: which words there are, what each gave to the score, where each of them matched.
// Nothing here computes a similarity; it only sums and sorts what the service accounted for.

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

function mean(values) {
  return sum(values) / values.length;
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

/** A term with `rows`: of each word of its group the text tokens that it became. */
function readTerm(term, rows) {
  return {
    ...term,
    rows,
    frames: framesOf(term),
    timed: Boolean(term.times_seconds),
    total: sum(term.contributions.map(sum)),
  };
}

/** The sentences of a question: in a sum each part has words of its own, also where one stands twice. */
function sentencesOf(words) {
  const sentences = [];
  words.forEach((word, place) => {
    const last = words[place - 1];
    const same = last && word.sentence === last.sentence && word.weight === last.weight && word.start > last.start;
    if (!same) sentences.push({ sentence: word.sentence, taken: word.weight < 0, first: place, words: [] });
    sentences.at(-1).words.push(word);
  });
  return sentences;
}

/** The words of a sentence with what each gave, from the terms that compare words. */
function groupOfWords({ sentence, taken, first, words }, terms) {
  const mine = terms.filter((term) => term.word_of_token?.some((word) => word >= first && word < first + words.length));
  if (!mine.length) return null;
  const read = mine.map((term) => {
    const rows = words.map(() => []);
    term.word_of_token.forEach((word, token) => rows[word - first]?.push(token));
    return readTerm(term, rows);
  });
  const shown = words.map((word, place) => ({ ...placed(word, place), gave: word.contribution }));
  return { kind: "words", sentence, taken, words: shown, terms: read };
}

/** The words of a sentence with how far the score falls without each. */
function groupOfFalls({ sentence, taken, words }, times) {
  const shown = words.map((word, place) => ({
    ...placed(word, place),
    gave: word.fall,
    byFrame: times ? word.frame_falls : null,
  }));
  return { kind: "falls", sentence, taken, words: shown, terms: [], times: times ?? [] };
}

function placed({ word, start, end }, place) {
  return { text: word, start, end, place };
}

/** What a term compared that is no word: phrases of the sentence, or all of it. */
function groupOfParts(raw) {
  const term = readTerm(
    raw,
    raw.words.map((_, token) => [token]),
  );
  const words = raw.words.map((text, place) => ({ text, place, gave: sum(raw.contributions[place]) }));
  return { kind: "parts", sentence: raw.sentence, taken: raw.weight < 0, words, terms: [term] };
}

/**
 * Put an explanation into groups of words that belong together.
 *
 * Terms over the same words are one group: PIDRo compares words with frames and with patches, and a word's
 * contribution is what it gave in both. Where words do not carry the score, their group says how far it falls
 * without each (`kind` "falls"), and what was compared has groups beside it: phrases, or the sentence ("parts"),
 * or words all the same ("compared").
 *
 * @param explanation the service's account of a hit.
 * @returns {{score, groups, times, untimed}} `groups` of {kind, words, terms, timed, sentence, taken}
 *   (`taken` off, in a sum of `parts` sentences), `words` of {text, place, gave} with `start` and `end` in the
 *   sentence where it is one; `times` of the frames that were looked at; `untimed` is what tokens without a
 *   time gave to the score; `terms` all of them, as they are.
 */
export function readAccount(explanation) {
  const byFalls = !explanation.words_carry && explanation.leaving_out;
  const sentences = sentencesOf(byFalls ? explanation.leaving_out.words : explanation.words);
  const ofWords = sentences.map((sentence) =>
    byFalls
      ? groupOfFalls(sentence, explanation.leaving_out.times_seconds)
      : groupOfWords(sentence, explanation.terms),
  );
  const compared = byFalls ? sentences.map((sentence) => groupOfWords(sentence, explanation.terms)) : [];
  const parts = explanation.terms.filter((term) => !term.word_of_token).map(groupOfParts);
  const groups = [
    ...ofWords.filter(Boolean),
    ...parts,
    ...compared.filter(Boolean).map((group) => ({ ...group, kind: "compared" })),
  ];
  for (const group of groups) group.timed = group.terms.find((term) => term.timed) ?? null;
  const terms = explanation.terms.map((term) => readTerm(term, []));
  const times = new Map();
  for (const term of terms) for (const frame of term.frames) times.set(frame.time.toFixed(3), frame.time);
  return {
    start: explanation.start,
    end: explanation.end,
    mapsOnRequest: explanation.maps_on_request,
    notes: [...new Set([explanation.account_missing, ...terms.map((term) => term.note)].filter(Boolean))],
    parts: new Set(explanation.terms.map((term) => `${term.sentence} ${term.weight < 0}`)).size || sentences.length,
    byFalls: Boolean(byFalls),
    score: explanation.score,
    words: explanation.words,
    groups,
    terms,
    times: [...times.values()].sort((a, b) => a - b),
    untimed: sum(terms.filter((term) => !term.timed).map((term) => term.total)),
  };
}

function frameAt(term, time) {
  return term?.frames.find((frame) => Math.abs(frame.time - time) < 2e-3) ?? null;
}

/** How alike a word and some tokens of the video are: the best of these, the mean of its text tokens. */
function likeness(term, place, tokens) {
  const rows = term.rows[place];
  return rows.length ? mean(rows.map((row) => Math.max(...tokens.map((token) => term.values[row][token])))) : null;
}

/** Whether it is known when the words of a group matched. */
export function hasTimes(group) {
  return group?.kind === "falls" ? group.times.length > 0 : Boolean(group?.timed);
}

/** Where a word matched: for each time its similarity, or how much less the frame gives without the word. */
export function wordOverTime(account, group, place) {
  return { times: account.times, values: account.times.map((time) => wordAtTime(group, place, time)) };
}

function wordAtTime(group, place, time) {
  if (group.kind === "falls") {
    const at = group.times.findIndex((other) => Math.abs(other - time) < 2e-3);
    return at < 0 ? null : (group.words[place].byFrame?.[at] ?? null);
  }
  const frame = frameAt(group.timed, time);
  return frame ? likeness(group.timed, place, frame.tokens) : null;
}

/** What every frame gave to the score, over all words and terms. */
export function framesOverTime(account) {
  const gave = (time) =>
    sum(
      account.terms.flatMap((term) =>
        (frameAt(term, time)?.tokens ?? []).flatMap((token) => term.contributions.map((row) => row[token])),
      ),
    );
  return { times: account.times, values: account.times.map(gave) };
}

/** Which words a frame showed: {values, best} of a group, `best` the word that fits the frame best. */
export function frameOverWords(group, time) {
  if (!hasTimes(group)) return null;
  const values = group.words.map((_, place) => wordAtTime(group, place, time));
  const real = values.filter((value) => value !== null);
  return real.length ? { values, best: values.indexOf(Math.max(...real)) } : null;
}

/** The time at which a word fits best; null where nothing has a time, or no frame needs the word. */
export function bestTime(account, group, place) {
  if (!hasTimes(group)) return null;
  const { times, values } = wordOverTime(account, group, place);
  const real = values.filter((value) => value !== null);
  const best = Math.max(...real);
  return !real.length || (group.kind === "falls" && best <= 0) ? null : times[values.indexOf(best)];
}

/** The time of the frame that gave most; null where none has a time. */
export function strongestTime(account) {
  const { times, values } = framesOverTime(account);
  return times.length ? times[values.indexOf(Math.max(...values))] : null;
}

/** The term of a group that says where in the picture its tokens are; null where none does. */
export function mapTerm(group) {
  return group?.terms.find((term) => term.grid) ?? null;
}

/** The words of a group as they were compared: of falls the group beside it; null where there is none. */
export function comparedGroup(account, group) {
  if (group.kind !== "falls") return group;
  const same = (other) => other.sentence === group.sentence && other.taken === group.taken;
  return account.groups.find((other) => other.kind === "compared" && same(other)) ?? null;
}

/** The time of the frame in which a term with a time met a word best; null for one without a text token. */
export function bestTimeOfTerm(term, place) {
  if (!term.rows[place].length) return null;
  const alike = term.frames.map((frame) => likeness(term, place, frame.tokens));
  return term.frames[alike.indexOf(Math.max(...alike))].time;
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
  if (place !== null && !term.rows[place].length) return { grid, cells: [], kind: "share", noun, number: 0 };
  const gave = (token) => sum(term.contributions.map((row) => row[token]));
  const met = (token) => (place === null ? gave(token) : likeness(term, place, [token]));
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

/** The looked-at time nearest to a second. */
export function nearest(times, seconds) {
  if (!times.length) return null;
  return times.reduce((best, time) => (Math.abs(time - seconds) < Math.abs(best - seconds) ? time : best));
}
