// What the page computes: closed forms at sizes, by the functions that python wrote. All numbers
// are BigInt, so that every figure is exact.

/** The formulas at one choice of sizes, each evaluated once and only when somebody asks. */
export class At {
  constructor(names, values) {
    this.values = values;
    this.sizes = names.map((name) => values[name]);
    this.known = new Map();
  }

  /** A number, or a formula `[place]`; null where python would divide by 0. */
  value(v) {
    if (!Array.isArray(v)) return BigInt(v);
    let found = this.known.get(v[0]);
    if (found === undefined) {
      found = this.call(v[0]);
      this.known.set(v[0], found);
    }
    return found;
  }

  /** A formula by its place, at an index where it has one. */
  call(place, ...index) {
    try {
      return symcnnFormulas[place](...this.sizes, ...index);
    } catch (error) {
      if (error instanceof RangeError) return null;
      throw error;
    }
  }

  shape(dims) {
    return dims.map((d) => this.value(d));
  }
}

const PAIR = { ">=": (a, b) => a >= b, "==": (a, b) => a === b };

function sidesHold(a, relation, b) {
  return a !== null && b !== null && PAIR[relation](a, b);
}

function holds(requirement, at) {
  if (requirement.blocks) return failingBlock(requirement, at) === null;
  return requirement.pairs.some(([a, relation, b]) => sidesHold(at.value(a), relation, at.value(b)));
}

/** The first block of a repeat at which a condition does not hold; null if it does at all. */
function failingBlock({ blocks: { count, pairs } }, at) {
  const end = at.value(count);
  for (let i = 0n; i < end; i++) {
    if (!pairs.some(([a, relation, b]) => sidesHold(at.call(a, i), relation, at.call(b, i)))) return i;
  }
  return null;
}

/** What goes wrong at these sizes, in words. */
export function consequence(requirement, at) {
  const words = (a, relation, b) => (a === null || b === null
    ? "a size that python divides by is 0 there" : `${a} ${relation === ">=" ? "<" : "!="} ${b}`);
  if (requirement.blocks) {
    const i = failingBlock(requirement, at);
    const sides = requirement.blocks.pairs.map(([a, relation, b]) => words(at.call(a, i), relation, at.call(b, i)));
    return `block ${i}: ${sides.join(" and ")}`;
  }
  const sides = requirement.pairs.map(([a, relation, b]) => words(at.value(a), relation, at.value(b)));
  if (requirement.total === undefined) return sides.join(" and ");
  const [left, , right] = requirement.pairs[0];
  const each = at.value(left), row = at.value(right), total = at.value(requirement.total);
  const have = `each image has ${each} elements, not ${row}`;
  if (total % row) return `${have}; torch: shape '[-1, ${row}]' is invalid for input of size ${total}`;
  return `${have}; torch would not complain: ${total / each} image(s) would come back as a batch of ${total / row}`;
}

/** What refuses these sizes first, in the order of execution; null if nothing does. */
function refusal(branch, at) {
  for (const { guard, node, requirement } of branch.steps) {
    if (!holds(requirement, at)) return { guard, node, requirement };
  }
  return null;
}

/** The conditions of a branch in the order in which they are met: those of a node, then guards. */
export function prepare(net, words) {
  for (const { path } of net.refusals) for (const guard of path) guard.why = words[guard.why];
  for (const branch of net.branches) {
    branch.steps = [];
    branch.copies = branch.nodes.flatMap((node, i) => (node.copies ? [i] : []));
    const guards = [...branch.guards];
    const until = (place) => {
      while (guards.length && guards[0].after <= place) {
        const guard = guards.shift();
        guard.why = words[guard.why];
        branch.steps.push({ guard, requirement: guard });
      }
    };
    until(-1);
    branch.nodes.forEach((node, i) => {
      for (const requirement of node.requires ?? []) {
        requirement.why = words[requirement.why];
        branch.steps.push({ node: i, requirement });
      }
      until(i);
    });
  }
}

/** Which branch takes these sizes, and what refuses them. */
export function verdict(net, at) {
  const several = net.branches.length > 1 || net.scope;
  const branch = net.branches.find((b) => !several || b.guards.every((g) => holds(g, at)));
  if (branch) {
    const failure = inside(branch, at.values) ? null : refusal(branch, at);
    return { valid: failure === null, branch, failure };
  }
  const raised = net.refusals.find((r) => r.path.every((g) => holds(g, at)));
  const said = raised ? `the model refuses these sizes${raised.said ? `: ${raised.said}` : ""}`
    : net.scope ? "no branch that was followed takes these sizes" : "no branch of the model takes these sizes";
  return { valid: false, branch: net.branches[0], failure: null, said, open: !raised && Boolean(net.scope) };
}

/** Whether a node that copies may make a view here instead: where an axis of it is 1 long. */
export function mayView(branch, i, at) {
  const node = branch.nodes[i];
  if (!node.copies) return false;
  const from = node.from[0] ?? -1;
  const shapes = [node.shapes[0], from >= 0 ? branch.nodes[from].shapes[0] : []];
  return shapes.some((dims) => dims.some((d) =>
    Array.isArray(d) && !branch.alike.includes(d[0]) && at.value(d) === 1n));
}

/** What a branch makes of one image, where that is known to differ; else null. */
export function single(branch, at) {
  return branch.single && at.value(branch.single.size) === 1n ? branch.single : null;
}

/** What is said where `mayView`. */
export const MAY_VIEW = "where an axis is 1 long, a copy may be a view: net.cost().at in python tells";

// Sets ------------------------------------------------------------------------------------------

/** The element of a run nearest to x: at least it, at most it, or any. */
function near([first, last, step], x, way) {
  first = BigInt(first);
  step = BigInt(step);
  last = last === null ? null : first + ((BigInt(last) - first) / step) * step;
  const below = x < first ? null : last !== null && x > last ? last : x - ((x - first) % step);
  const above = x <= first ? first : last !== null && x > last ? null : below === x ? x : below + step;
  const upper = above !== null && last !== null && above > last ? null : above;
  if (way === "pad") return upper;
  if (way === "crop") return below;
  if (below === null) return upper;
  if (upper === null) return below;
  return x - below < upper - x ? below : upper;
}

function gap(a, b) {
  return a > b ? a - b : b - a;
}

/** Whether sizes lie in the domain, as far as that is listed: then every condition holds. */
function inside({ boxes }, values) {
  return Boolean(boxes) && boxes.some((box) => Object.entries(box).every(([name, runs]) =>
    runs.some((run) => near(run, values[name], "resize") === values[name])));
}

/** The nearest sizes in a box of runs; null if there are none. */
function nearestInBox(box, values, way) {
  const found = {};
  for (const [name, runs] of Object.entries(box)) {
    const x = values[name];
    const candidates = runs.map((run) => near(run, x, way)).filter((y) => y !== null);
    if (!candidates.length) return null;
    found[name] = candidates.reduce((a, b) => {
      const one = gap(a, x), other = gap(b, x);
      return one < other || (one === other && a > b) ? a : b;
    });
  }
  return found;
}

/** How far sizes lie: the largest difference, then the sum of all; of two as near, the larger. */
function distance(values, found) {
  const gaps = Object.entries(found).map(([name, x]) => gap(x, values[name]));
  const most = gaps.reduce((a, b) => (a > b ? a : b), 0n);
  return [most, gaps.reduce((a, b) => a + b, 0n), ...Object.values(found).map((x) => -x)];
}

function before(a, b) {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i] < b[i];
  return false;
}

function nearer(values) {
  return (a, b) => (before(distance(values, b), distance(values, a)) ? b : a);
}

/** The nearest valid sizes: by padding, by cropping, by resizing; each checked by all conditions. */
export function nearest(net, values, evaluate) {
  const ways = {};
  const known = net.branches.every((b) => b.boxes);
  for (const way of ["pad", "crop", "resize"]) {
    const found = known
      ? net.branches.flatMap((b) => b.boxes.map((box) => nearestInBox(box, values, way)))
      : net.branches.map((b) => searched(b, values, evaluate, way));
    const valid = found.filter((sizes) => sizes && verdict(net, evaluate({ ...values, ...sizes })).valid);
    if (valid.length) ways[way] = valid.reduce(nearer(values));
  }
  return { ways, searched: !known };
}

/** How far sizes are searched that conditions tie together, by how many they are. */
const REACH = [0, 4096, 96, 32, 8, 4];

/** The sizes that conditions tie together, each group with the conditions on it. */
function groups(branch, names) {
  const found = [];
  for (const { requirement } of branch.steps) {
    const along = requirement.along.filter((name) => names.includes(name));
    if (!along.length) continue;
    const met = found.filter((g) => g.names.some((name) => along.includes(name)));
    const joined = { names: [...new Set([...met.flatMap((g) => g.names), ...along])], all: met.flatMap((g) => g.all) };
    joined.all.push(requirement);
    found.splice(0, found.length, ...found.filter((g) => !met.includes(g)), joined);
  }
  for (const group of found) group.names.sort((a, b) => names.indexOf(a) - names.indexOf(b));
  return found;
}

/** The nearest valid sizes of a branch, tried one after the other, group by group. */
function searched(branch, values, evaluate, way) {
  const names = Object.keys(values).filter((name) => !branch.batch.includes(name));
  const parts = groups(branch, names).map((group) => ({ ...group, least: nearestInGroup(group, values, evaluate, way) }));
  if (parts.some((part) => !part.least)) return null;
  const gaps = (found) => distance(values, found)[0];
  const most = parts.map((part) => gaps(part.least)).reduce((a, b) => (a > b ? a : b), 0n);
  const chosen = parts.map((part) => nearestInGroup(part, values, evaluate, way, most));
  const all = Object.assign({}, ...chosen);
  return Object.fromEntries(names.filter((name) => name in all).map((name) => [name, all[name]]));
}

/** The nearest sizes of a group; of those that lie within `most`, if given, those of least sum. */
function nearestInGroup({ names, all }, values, evaluate, way, most) {
  const reach = BigInt(REACH[names.length] ?? 2);
  const end = performance.now() + 120;
  const limit = most === undefined || most > reach ? reach : most;
  let best = null, score = null;
  for (let d = 0n; d <= limit; d++) {
    for (const sizes of shell(names, values, d, way)) {
      if (performance.now() > end) return best;
      const far = most === undefined ? distance(values, sizes) : distance(values, sizes).slice(1);
      if (best && !before(far, score)) continue;
      const at = evaluate({ ...values, ...sizes });
      if (all.every((requirement) => holds(requirement, at))) [best, score] = [sizes, far];
    }
    if (best && most === undefined) return best;
  }
  return best;
}

/** All sizes whose largest difference is d. */
function* shell(names, values, d, way, found = {}, reached = false) {
  if (!names.length) {
    if (reached || d === 0n) yield { ...found };
    return;
  }
  const [name, ...rest] = names;
  const low = way === "pad" ? 0n : -d, high = way === "crop" ? 0n : d;
  for (let by = high; by >= low; by--) {
    const edge = by === d || by === -d;
    if (!rest.length && !reached && !edge) continue;
    const x = values[name] + by;
    if (x < 1n) break;
    yield* shell(rest, values, d, way, { ...found, [name]: x }, reached || edge);
  }
}

// Targets ---------------------------------------------------------------------------------------

const FAR = 1n << 40n;
const TRIED = 4096n;

/** The sizes of `name` at which a formula that never falls equals `wanted`: an interval, or null. */
function fibre(value, name, values, evaluate, wanted) {
  const at = (x) => evaluate({ ...values, [name]: x }).value(value);
  const first = (limit) => {
    let low = 1n, high = FAR;
    if (at(high) < limit) return null;
    while (low < high) {
      const middle = (low + high) / 2n;
      if (at(middle) >= limit) high = middle;
      else low = middle + 1n;
    }
    return low;
  };
  const start = first(wanted);
  if (start === null || at(start) !== wanted) return null;
  const end = first(wanted + 1n);
  return [start, end === null ? null : end - 1n];
}

/** Which sizes give a target along the last axes of a layer, in words; and the least of them. */
export function solve(net, values, evaluate, node, wanted) {
  const answers = [];
  let least = null;
  for (const branch of net.branches) {
    const dims = branch.nodes[node]?.shapes[0];
    if (!dims || dims.length < wanted.length) continue;
    const found = solveBranch(net, branch, values, evaluate, dims.slice(-wanted.length), wanted);
    if (found.said) return found;
    answers.push(...found.answers);
    least = least ?? found.least;
  }
  if (!answers.length) return { said: "no valid size gives this" };
  const listed = answers.slice(0, 8).map((a) => (answers.length > 1 && a.includes(" and ") ? `(${a})` : a));
  return { said: listed.join(" or ") + (answers.length > 8 ? " or …" : ""), least };
}

function solveBranch(net, branch, values, evaluate, dims, wanted) {
  const spans = {};
  for (let k = 0; k < dims.length; k++) {
    const dim = dims[k];
    if (!Array.isArray(dim)) {
      if (BigInt(dim) !== wanted[k]) return { answers: [] };
      continue;
    }
    const [rises, ...names] = branch.symbols[dim[0]];
    if (!rises || names.length !== 1 || !branch.boxes) {
      return tried(net, branch, values, evaluate, dims, wanted);
    }
    const [name] = names;
    const span = fibre(dim, name, values, evaluate, wanted[k]);
    if (span === null) return { answers: [] };
    const known = spans[name] ?? [1n, null];
    const low = span[0] > known[0] ? span[0] : known[0];
    const highs = [span[1], known[1]].filter((x) => x !== null);
    spans[name] = [low, highs.length ? highs.reduce((a, b) => (a < b ? a : b)) : null];
  }
  const answers = [];
  let least = null;
  for (const box of branch.boxes) {
    const words = [], sizes = {};
    for (const name of new Set([...Object.keys(spans), ...Object.keys(box)])) {
      const [low, high] = spans[name] ?? [1n, null];
      const runs = (box[name] ?? [[1, null, 1]]).map((run) => within(run, low, high)).filter(Boolean);
      if (!runs.length) {
        words.length = 0;
        break;
      }
      sizes[name] = runs[0][0];
      const texts = runs.slice(0, 8).map((run) => runText(run, name));
      words.push(texts.length > 1 ? `(${texts.join(" or ")}${runs.length > 8 ? " or …" : ""})` : texts[0]);
    }
    if (!words.length) continue;
    answers.push(words.filter((w) => !/ ≥ 1$/.test(w)).join(" and ") || "every valid size");
    least = least ?? sizes;
  }
  return { answers, least };
}

/** A run between two ends; null if nothing is left. */
function within([first, last, step], low, high) {
  first = BigInt(first);
  step = BigInt(step);
  if (low > first) first += ((low - first + step - 1n) / step) * step;
  const ends = [last === null ? null : BigInt(last), high].filter((x) => x !== null);
  let end = ends.length ? ends.reduce((a, b) => (a < b ? a : b)) : null;
  if (end !== null) {
    if (end < first) return null;
    end = first + ((end - first) / step) * step;
  }
  return [first, end, step];
}

function runText([first, last, step], name) {
  if (first === last) return `${name} = ${first}`;
  const span = last === null ? `${name} ≥ ${first}` : `${first} ≤ ${name} ≤ ${last}`;
  return step === 1n ? span : `${name} % ${step} = ${first % step} and ${span}`;
}

/** Sizes that are tried one by one, where a formula is no simple one; as they are, said so. */
function tried(net, branch, values, evaluate, dims, wanted) {
  const names = Object.keys(values).filter((name) =>
    dims.some((d) => Array.isArray(d) && branch.symbols[d[0]].slice(1).includes(name)));
  if (names.length > 2) return { said: "these sizes depend on more than two others: ask net.solve in python" };
  const limit = names.length === 2 ? 256n : TRIED;
  const found = [];
  const end = performance.now() + 400;
  let upto = limit;
  const test = (sizes) => {
    const at = evaluate({ ...values, ...sizes });
    if (dims.every((d, k) => at.value(d) === wanted[k]) && verdict(net, at).valid) found.push(sizes);
  };
  for (let x = 1n; x <= limit && found.length < 200; x++) {
    if (performance.now() > end) {
      upto = x - 1n;
      break;
    }
    if (names.length < 2) test(names.length ? { [names[0]]: x } : {});
    else for (let y = 1n; y <= limit; y++) test({ [names[0]]: x, [names[1]]: y });
  }
  const scope = `of the sizes up to ${upto}`;
  if (!found.length) return { said: `none ${scope}` };
  const listed = found.slice(0, 12).map((s) => Object.entries(s).map(([n, x]) => `${n} = ${x}`).join(" and "));
  const words = listed.map((w) => (names.length === 2 ? `(${w})` : w)).join(" or ");
  return { said: `${scope}: ${words}${found.length > 12 ? " or …" : ""}`, least: found[0] };
}

/** Text such as 7x7 as numbers; null if it is none. */
export function parseTarget(text) {
  const parts = text.trim().split(/\s*[x×,*]\s*|\s+/);
  return parts.every((p) => /^\d{1,18}$/.test(p)) ? parts.map(BigInt) : null;
}
