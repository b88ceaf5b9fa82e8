import { render } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import "./page.css";
import { At, prepare, verdict } from "./engine.js";
import { Net } from "./net.jsx";
import { copy, parseSize } from "./text.js";

const data = JSON.parse(document.getElementById("data").textContent);
data.nets.forEach((net) => prepare(net, data.words));

const names = data.sizes.map((s) => s.name);
const start = Object.fromEntries(data.sizes.map((s) => [s.name, String(s.start)]));

/** What the link keeps: sizes, and per network the layer, the place in it and the target. */
function stateOf(hash) {
  const given = Object.fromEntries(new URLSearchParams(hash.replace(/^#/, "")));
  const texts = { ...start };
  for (const { name } of data.sizes) if (given[name] !== undefined) texts[name] = given[name];
  const nets = data.nets.map((_, i) => ({
    layer: /^\d+$/.test(given[`layer${i || ""}`] ?? "") ? Number(given[`layer${i || ""}`]) : null,
    place: (given[`place${i || ""}`] ?? "").split(",").filter((p) => /^\d+$/.test(p)).map(BigInt),
    target: given[`target${i || ""}`] ?? "",
  }));
  return { texts, nets };
}

function hashOf({ texts, nets }) {
  const given = new URLSearchParams(texts);
  nets.forEach(({ layer, place, target }, i) => {
    if (layer !== null) given.set(`layer${i || ""}`, layer);
    if (place.length) given.set(`place${i || ""}`, place.join(","));
    if (target) given.set(`target${i || ""}`, target);
  });
  return `#${given}`;
}

function Page() {
  const [state, setState] = useState(() => stateOf(location.hash));
  const [note, setNote] = useState("");
  const valid = useRef({});
  const read = data.sizes.map((size) => [size.name, parseSize(state.texts[size.name], size)]);
  const errors = read.filter(([, r]) => r.error);
  for (const [name, r] of read) if (!r.error) valid.current[name] = r.value;
  const values = Object.fromEntries(read.map(([name, r], i) =>
    [name, r.error ? valid.current[name] ?? BigInt(data.sizes[i].start) : r.value]));
  const key = Object.values(values).join();
  const evaluate = (sizes) => new At(names, sizes);
  const at = useMemo(() => evaluate(values), [key]);

  useEffect(() => {
    const changed = () => setState(stateOf(location.hash));
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  useEffect(() => {
    const wait = setTimeout(() => {
      const hash = hashOf(state);
      if (hash !== location.hash) history.replaceState(null, "", hash);
    }, 250);
    return () => clearTimeout(wait);
  }, [state]);

  const setSize = (name, text) => setState((s) => ({ ...s, texts: { ...s.texts, [name]: text } }));
  const setSizes = (sizes) => setState((s) => ({
    ...s, texts: { ...s.texts, ...Object.fromEntries(Object.entries(sizes).map(([n, x]) => [n, String(x)])) },
  }));
  const setNet = (i, change) => setState((s) => ({
    ...s, nets: s.nets.map((net, k) => (k === i ? { ...net, ...change } : net)),
  }));
  const say = async (what, text, html) => {
    setNote((await copy(text, html)) ? `${what} copied` : `${what} could not be copied`);
    setTimeout(() => setNote(""), 2000);
  };

  return (
    <>
      <header>
        <h1>{data.title}</h1>
        <form class="sizes" onSubmit={(e) => e.preventDefault()}>
          {data.sizes.map((size, i) => (
            <Size key={size.name} size={size} text={state.texts[size.name]} value={values[size.name]}
              error={read[i][1].error} set={(text) => setSize(size.name, text)} />
          ))}
        </form>
        {errors.length > 0 && (
          <p class="error" role="alert">
            {errors.map(([, r]) => r.error).join("; ")}. What stands below is for{" "}
            {Object.entries(values).map(([n, x]) => `${n} = ${x}`).join(", ")}.
          </p>
        )}
        <p class="note" role="status">{note}</p>
      </header>
      <main class={data.nets.length > 1 ? "several" : ""}>
        {data.nets.map((net, i) => (
          <Net key={i} net={net} at={at} values={values} evaluate={evaluate} setSizes={setSizes} say={say}
            state={state.nets[i]} set={(change) => setNet(i, change)} titled={data.nets.length > 1}
            link={() => say("link", location.href.split("#")[0] + hashOf(state))} />
        ))}
      </main>
      <footer>Made by symcnn: every figure is computed here from closed forms, in whole numbers.</footer>
    </>
  );
}

function Size({ size, text, value, error, set }) {
  const most = value > BigInt(size.most) ? value : BigInt(size.most);
  const step = (event) => {
    const by = { ArrowUp: 1n, ArrowDown: -1n, PageUp: 16n, PageDown: -16n }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    const next = value + by;
    set(String(next < BigInt(size.least) ? size.least : next));
  };
  return (
    <div class="size">
      <span class="name" aria-hidden="true">{size.name}</span>
      <input type="text" inputmode="numeric" role="spinbutton" autocomplete="off" spellcheck={false}
        aria-label={size.name} aria-valuenow={String(value)} aria-invalid={Boolean(error)} value={text}
        onInput={(e) => set(e.currentTarget.value)} onChange={(e) => set(e.currentTarget.value)} onKeyDown={step} />
      <input type="range" aria-label={size.name} min={size.least} max={String(most)} step="1"
        value={String(value)} onInput={(e) => set(e.currentTarget.value)} onChange={(e) => set(e.currentTarget.value)} />
    </div>
  );
}

render(<Page />, document.getElementById("page"));
