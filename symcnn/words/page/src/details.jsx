import { useEffect, useRef, useState } from "preact/hooks";
import { digits, shapeText } from "./text.js";

/** A layer: its closed form, how it comes about, and its field. */
export function Details({ branch, node, at, valid, known, place, setPlace }) {
  const row = branch.nodes[node];
  const dims = row.shapes[0] ?? [];
  return (
    <div class="panel">
      <p>
        <b>{row.name}</b> {row.op}
        {row.at && <> from <code>{row.at}</code></>}
        {row.params !== 0 && <>, {digits(at.value(row.params))} parameters</>}
      </p>
      <p class="formula">
        output <Form branch={branch} dims={dims} valid={valid} />
        {known && <> = {shapeText(at.shape(dims))}</>}
      </p>
      <Derivation branch={branch} node={node} at={at} valid={valid} known={known} />
      {row.field && <Field branch={branch} row={row} at={at} known={known} place={place} setPlace={setPlace} />}
    </div>
  );
}

/** A shape as formulas: at valid sizes the simplest there, elsewhere those that hold for all. */
function Form({ branch, dims, valid }) {
  const drawn = (place) => (valid ? undefined : branch.general[place]) ?? branch.math[place];
  const parts = dims.map((d) => (Array.isArray(d) ? drawn(d[0]) : `<mn>${d}</mn>`));
  return <math dangerouslySetInnerHTML={{ __html: parts.join("<mo>×</mo>") }} />;
}

/** The layers between the input and an axis of a layer's output, where the size is made. */
function stepsTo(branch, node, axis) {
  const steps = [];
  let place = node, along = axis, end = "";
  while (place >= 0) {
    const law = branch.nodes[place].laws?.[along];
    if (!law) {
      end = branch.nodes[place].name;
      break;
    }
    steps.push({ node: place, axis: along, law: branch.laws[law[1]] });
    along = law[0];
    place = branch.nodes[place].from[0] ?? -1;
  }
  return { steps: steps.reverse(), from: { node: place, axis: along }, end };
}

function Derivation({ branch, node, at, valid, known }) {
  const dims = branch.nodes[node].shapes[0] ?? [];
  const [chosen, choose] = useState(0);
  const chains = dims.map((d, axis) => ({ axis, ...stepsTo(branch, node, axis) }))
    .filter(({ axis, steps, end }) => Array.isArray(dims[axis]) && (end || steps.some(({ law }) => !same(law))));
  if (!chains.length) return null;
  const { axis, steps, end } = chains[Math.min(chosen, chains.length - 1)];
  const made = steps.filter(({ law }) => !same(law));
  const called = (a) => `axis ${a}, in ${branch.symbols[dims[a][0]].slice(1).join(" and ")}`;
  return (
    <details open={made.length <= 40}>
      <summary>
        how {called(axis)}, comes about: {made.length} of {steps.length} layers on its way have a say
      </summary>
      {chains.length > 1 && (
        <p class="choices">
          {chains.map((chain, i) => (
            <button type="button" key={chain.axis} aria-pressed={chain.axis === axis} onClick={() => choose(i)}>
              {called(chain.axis)}
            </button>
          ))}
        </p>
      )}
      <ol class="steps">
        {end && <li><b>{end}</b> makes the size itself</li>}
        {steps.map((step, i) => same(step.law) ? null : (
          <li key={i}>
            <b>{branch.nodes[step.node].name}</b>{" "}
            <Law law={step.law} at={at} before={before(branch, step, at)} after={at.value(sizeOf(branch, step))} known={known} />{" "}
            <span class="closed">= <Form branch={branch} dims={[sizeOf(branch, step)]} valid={valid} /></span>
          </li>
        ))}
      </ol>
    </details>
  );
}

function sizeOf(branch, { node, axis }) {
  return branch.nodes[node].shapes[0][axis];
}

/** The size of what a layer reads along an axis. */
function before(branch, { node, axis }, at) {
  const source = branch.nodes[node].laws[axis][0];
  const from = branch.nodes[node].from[0];
  const shape = from >= 0 ? branch.nodes[from].shapes[0] : branch.inputs[0].shape;
  return shape[source] === undefined ? null : at.value(shape[source]);
}

/** Whether a law leaves the size as it is. */
function same([name, r, s, a, b]) {
  return name === "window" && r === 1 && s === 1 && a === 0 && b === 0;
}

function Law({ law: [name, ...numbers], at, before: x, after, known }) {
  const values = numbers.map((v) => at.value(v));
  const end = known ? ` = ${after}` : "";
  if (!known || x === null) x = "x";
  if (name === "window") {
    const [r, s, a, b] = values;
    const inner = `${x}${plus(a)}${plus(b)} − ${r}`;
    return <span>window {String(r)}, stride {String(s)}: {s === 1n ? `${inner} + 1` : `⌊(${inner})/${s}⌋ + 1`}{end}</span>;
  }
  if (name === "scatter") {
    const [r, s, p, o] = values;
    return <span>scatter {String(r)}, stride {String(s)}: {s}·({x} − 1) + {r}{p ? ` − 2·${p}` : ""}{plus(o)}{end}</span>;
  }
  return <span>{name}: {known ? `${x} → ${after}` : ""}</span>;
}

function plus(value) {
  return value > 0n ? ` + ${value}` : value < 0n ? ` − ${-value}` : "";
}

// The field ---------------------------------------------------------------------------------------

let picture = null; // the image that was dropped, for all layers

/** The rows that a place of the output reads, over an image. */
function Field({ branch, row, at, known, place, setPlace }) {
  const [image, setImage] = useState(picture);
  const [error, setError] = useState("");
  const shape = known ? at.shape(row.shapes[0]) : [];
  const axes = branch.axes.map(([name, size], k) => {
    const field = row.field[k];
    const length = at.value(size);
    const count = !known || field.along === null || field.along === undefined ? 1n : shape[field.along];
    const most = count > 0n ? count - 1n : 0n;
    const i = place[k] === undefined ? most / 2n : place[k] > most ? most : place[k];
    if (!field.ends || !known || length === null) return { name, field, length, i, most };
    const [first, last] = field.ends.map((f) => at.call(f, i));
    const clipped = [first < 0n ? 0n : first, last >= length ? length - 1n : last];
    const middle = (j) => field.ends.reduce((sum, f) => sum + Number(at.call(f, j)), 1) / 2;
    return { name, field, length, i, most, first, last, clipped, middle };
  });
  const pick = (k, i) => setPlace(axes.map((a, j) => (j === k ? i : a.i)));
  const load = async (file) => {
    if (!file) return;
    try {
      picture = await createImageBitmap(file);
      setImage(picture);
      setError("");
    } catch {
      setError(`${file.name} is no image that this browser reads`);
    }
  };
  return (
    <div class="fieldpanel">
      <p>
        field {row.field.map((f) => (f.why ? "varies" : String(at.value(f.size)))).join("×")}
        {row.field.some((f) => f.whole) && <>, the whole axis through {row.field.find((f) => f.whole).whole}</>}
        {row.field.some((f) => f.why) && <>; {row.field.find((f) => f.why).why}</>}
      </p>
      {known && axes.map((a, k) => (
        <div class="place" key={a.name}>
          {a.most > 0n && (
            <input type="range" min="0" max={String(a.most)} value={String(a.i)} aria-label={`place along ${a.name}`}
              onInput={(e) => pick(k, BigInt(e.currentTarget.value))} />
          )}
          <span>
            {a.first === undefined ? `along ${a.name}: no single formula` : (
              <>
                along {a.name}: output {String(a.i)} sees {String(a.clipped[0])} … {String(a.clipped[1])}
                {(a.first !== a.clipped[0] || a.last !== a.clipped[1]) && <> (with padding {String(a.first)} … {String(a.last)})</>}
              </>
            )}
          </span>
        </div>
      ))}
      {known && axes.length === 2 && axes.every((a) => a.first !== undefined) && (
        <div class="drop" onDragOver={(e) => e.preventDefault()}
          onDrop={(e) => {
            e.preventDefault();
            load(e.dataTransfer.files[0]);
          }}>
          <Canvas axes={axes} image={image} pick={(i) => setPlace(i)} />
          <label>
            {image ? "another image" : "drop an image here, or choose one"}{" "}
            <input type="file" accept="image/*" onChange={(e) => load(e.currentTarget.files[0])} />
          </label>
          {error && <p class="error" role="alert">{error}</p>}
        </div>
      )}
    </div>
  );
}

const WIDE = 420;

function Canvas({ axes, image, pick }) {
  const canvas = useRef(null);
  const [rows, columns] = axes.map((a) => Number(a.length));
  const scale = Math.min(WIDE / columns, WIDE / rows);
  const width = Math.max(1, Math.round(columns * scale)), height = Math.max(1, Math.round(rows * scale));
  useEffect(() => {
    const pen = canvas.current.getContext("2d");
    const style = getComputedStyle(canvas.current);
    pen.clearRect(0, 0, width, height);
    if (image) pen.drawImage(image, 0, 0, width, height);
    const [y, x] = axes.map((a) => [Number(a.clipped[0]) * scale, (Number(a.clipped[1]) + 1) * scale]);
    pen.fillStyle = style.getPropertyValue("--veil");
    pen.beginPath();
    pen.rect(0, 0, width, height);
    pen.rect(x[0], y[0], x[1] - x[0], y[1] - y[0]);
    pen.fill("evenodd");
    pen.strokeStyle = style.getPropertyValue("--mark");
    pen.lineWidth = 2;
    const [left, top] = [Math.max(1, x[0] - 1), Math.max(1, y[0] - 1)];
    pen.strokeRect(left, top, Math.min(width - 1, x[1] + 1) - left, Math.min(height - 1, y[1] + 1) - top);
  });
  const click = (event) => {
    const box = canvas.current.getBoundingClientRect();
    const spots = [(event.clientY - box.top) / box.height * rows, (event.clientX - box.left) / box.width * columns];
    pick(axes.map((a, k) => nearestPlace(a, spots[k])));
  };
  return <canvas ref={canvas} width={width} height={height} onClick={click} role="img"
    aria-label={axes.map((a) => `${a.name} ${a.clipped[0]} to ${a.clipped[1]}`).join(", ")} />;
}

/** The output whose field's middle is nearest to a spot, by bisection: fields move with places. */
function nearestPlace({ middle, most }, spot) {
  let low = 0n, high = most;
  while (low < high) {
    const i = (low + high) / 2n;
    if (middle(i) < spot) low = i + 1n;
    else high = i;
  }
  return low > 0n && Math.abs(middle(low - 1n) - spot) < Math.abs(middle(low) - spot) ? low - 1n : low;
}
