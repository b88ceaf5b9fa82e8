import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Details } from "./details.jsx";
import { consequence, MAY_VIEW, mayView, nearest, parseTarget, single, solve, verdict } from "./engine.js";
import { digits, rounded, shapeText } from "./text.js";
import { opened, pathTo, treeOf, visible } from "./tree.js";

/** Of more nodes than this, pieces of the list get their sums after they are shown. */
const QUICK = 2000;

/** One network: verdict, totals, target, and its table. */
export function Net({ net, at, values, evaluate, setSizes, say, state, set, titled, link }) {
  const found = useMemo(() => verdict(net, at), [at]);
  const { branch, valid, failure } = found;
  const rows = useMemo(() => treeOf(branch), [branch]);
  const [open, setOpen] = useState(() => opened(rows));
  const before = useRef(rows);
  if (before.current !== rows) {
    before.current = rows;
    setOpen(opened(rows));
  }
  const failing = failure?.node ?? (failure ? failure.guard.after + 0.5 : found.said ? -1 : Infinity);
  const unfold = (node) => setOpen((now) => {
    const around = pathTo(rows, node).filter((row) => row.children).map((row) => row.key);
    return around.every((key) => now.has(key)) ? now : new Set([...now, ...around]);
  });
  useEffect(() => {
    if (Number.isInteger(failing)) unfold(failing);
  }, [failing, rows]);
  useEffect(() => {
    if (state.layer !== null) unfold(state.layer);
  }, [state.layer, rows]);

  const shown = visible(rows, open);
  const toggle = (key) => setOpen((now) => {
    const next = new Set(now);
    if (!next.delete(key)) next.add(key);
    return next;
  });
  const table = useRef(null);
  const [summed, setSummed] = useState(branch.nodes.length <= QUICK); // a long list is shown first
  useEffect(() => {
    if (!summed) setTimeout(() => setSummed(true), 100);
  }, []);
  const bytes = branch.nodes.some((n) => n.bytes !== undefined);
  const columns = ["layer", "op", "output", "params", "MACs", ...(bytes ? ["bytes"] : []), ...(branch.axes.length ? ["field"] : [])];
  const all = { branch, at, failing, columns, summed };
  const cells = (row) => cellsOf(row, all);
  const copyTable = () => {
    const lines = shown.map((row) => {
      const c = cells(row);
      return columns.map((column) => ({ layer: row.name, op: c.op })[column] ?? c[column]);
    });
    const body = lines.map((line) => `<tr>${line.map((c) => `<td>${escaped(c)}</td>`).join("")}</tr>`).join("");
    const head = `<tr>${columns.map((c) => `<th>${c}</th>`).join("")}</tr>`;
    say("table", [columns, ...lines].map((line) => line.join("\t")).join("\n"), `<table>${head}${body}</table>`);
  };
  const long = branch.nodes.length > 400;

  return (
    <section class="net" aria-label={net.title}>
      {titled && <h2>{net.title}</h2>}
      <Verdict net={net} found={found} at={at} values={values} evaluate={evaluate} setSizes={setSizes}
        show={(node) => {
          unfold(node);
          setTimeout(() => table.current.querySelector(".fails")?.scrollIntoView({ block: "center" }), 50);
        }} />
      <Totals branch={branch} at={at} valid={valid} />
      <Target net={net} branch={branch} values={values} evaluate={evaluate} setSizes={setSizes} state={state} set={set} />
      <div class="tools">
        <button type="button" onClick={copyTable}>copy table</button>
        {branch.latex && <button type="button" onClick={() => say("LaTeX", branch.latex)}>copy LaTeX</button>}
        <button type="button" onClick={link}>copy link</button>
        {branch.entries.length > branch.nodes.length || long ? (
          <>
            <button type="button" onClick={() => setOpen(opened(rows, 5000))}>unfold</button>
            <button type="button" onClick={() => setOpen(new Set())}>fold</button>
          </>
        ) : null}
      </div>
      <div class="scroll" ref={table} tabIndex={0} role="region" aria-label={`layers of ${net.title}`}>
        <table>
          <thead>
            <tr>{columns.map((c) => <th key={c} scope="col" class={c}>{c}</th>)}</tr>
          </thead>
          <tbody>
            {shown.map((row) => (
              <Row key={row.key} row={row} all={all} cells={cells(row)} open={open.has(row.key)}
                selected={row.node !== undefined && row.node === state.layer}
                onClick={() => (row.children ? toggle(row.key)
                  : set(row.node === state.layer ? { layer: null, place: [] } : { layer: row.node, place: [] }))}
                failure={row.node === failing ? failure : null}
                state={state} set={set} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function escaped(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;");
}

/** What stands in the cells of a row; nothing from the layer that refuses on. */
function cellsOf(row, { branch, at, failing, columns, summed }) {
  const last = row.node ?? row.last;
  const node = branch.nodes[last];
  const known = last < failing;
  const one = single(branch, at);
  const sum = (key) => {
    let total = 0n;
    if (row.piece && !summed) return total;
    for (let i = row.node ?? row.first; i <= last; i++) {
      const value = at.value(key === "bytes" && one ? one.bytes[i] : branch.nodes[i][key]);
      if (value === null) return null;
      total += value;
    }
    return total;
  };
  const params = row.piece ? sum("params") : at.value(row.params ?? node.params);
  const cells = { op: row.node === undefined ? "" : node.op, params: params ? digits(params) : "" };
  cells.output = known ? node.shapes.map((dims) => shapeText(at.shape(dims))).join(", ") : "";
  const macs = known ? sum("macs") : 0n;
  cells.MACs = macs === 0n ? "" : digits(macs);
  if (columns.includes("bytes")) {
    const made = known ? sum("bytes") : 0n;
    cells.open = known && branch.copies.some((i) => i >= (row.node ?? row.first) && i <= last && mayView(branch, i, at));
    cells.bytes = cells.open ? "?" : made === 0n ? "" : digits(made);
  }
  cells.field = known && node.field ? node.field.map((f) => (f.why ? "varies" : String(at.value(f.size)))).join("×") : "";
  return cells;
}

function Row({ row, all, cells, open, selected, onClick, failure, state, set }) {
  const { branch, at, failing, columns } = all;
  const last = row.node ?? row.last;
  const node = branch.nodes[last];
  const [prefix, own] = row.piece ? ["", row.name] : parted(row.name);
  const fails = failing >= (row.node ?? row.first) && failing <= last;
  const kind = [fails ? "fails" : last > failing ? "after" : "", row.children ? "group" : "", selected ? "selected" : ""];
  const whole = node.field?.some((f) => f.whole);
  const why = node.field?.find((f) => f.why)?.why;
  return (
    <>
      <tr class={kind.filter(Boolean).join(" ")}>
        <th scope="row" class="layer" style={{ "--depth": row.depth }}>
          <button type="button" aria-expanded={row.children ? open : selected} onClick={onClick}>
            <span class={row.children ? (open ? "mark open" : "mark shut") : "mark"} aria-hidden="true" />
            {prefix && <span class="prefix">{broken(prefix)}</span>}<span>{own}</span>
          </button>
        </th>
        <td class="op">{cells.op}</td>
        <td class="output">{cells.output}</td>
        <td class="params">{cells.params}</td>
        <td class="MACs">{cells.MACs}</td>
        {columns.includes("bytes") && <td class="bytes" title={cells.open ? MAY_VIEW : undefined}>{cells.bytes}</td>}
        {columns.includes("field") && (
          <td class="field" title={why ?? (whole ? "sees the whole axis" : undefined)}>{cells.field}</td>
        )}
      </tr>
      {failure && (
        <tr class="reason">
          <td colSpan={columns.length}>
            <div class="wide">
              refuses: {whyOf(failure, branch) || "its sizes do not fit"}; needs <code>{failure.requirement.text}</code>,{" "}
              but {consequence(failure.requirement, at)}
            </div>
          </td>
        </tr>
      )}
      {selected && (
        <tr class="details">
          <td colSpan={columns.length}>
            <Details branch={branch} node={row.node} at={at} valid={failing === Infinity} known={last < failing}
              place={state.place} setPlace={(place) => set({ place })} />
          </td>
        </tr>
      )}
    </>
  );
}

/** Why a layer refuses, without its own name in front. */
function whyOf({ requirement, node }, branch) {
  return requirement.why.replace(`${branch.nodes[node].op}: `, "");
}

/** A module path as what is above, and the last piece. */
function parted(name) {
  const at = name.lastIndexOf(".") + 1;
  return [name.slice(0, at), name.slice(at)];
}

/** A path that may go on in the next line behind each dot. */
function broken(path) {
  return path.split(/(?<=\.)/).flatMap((piece) => [piece, <wbr />]);
}

/** Valid or not, why, and the nearest sizes that are. */
function Verdict({ net, found, at, values, evaluate, setSizes, show }) {
  const { valid, branch, failure, said } = found;
  const ways = useMemo(() => (valid ? null : nearest(net, values, evaluate)), [found]);
  const sizes = Object.entries(values).map(([n, x]) => `${n} = ${x}`).join(", ");
  const node = failure && !failure.guard ? branch.nodes[failure.node] : null;
  const name = node ? (node.name.endsWith(node.op) ? node.name : `${node.name} (${node.op})`) : "";
  return (
    <div class={`verdict ${valid ? "valid" : "refused"}`} role="status">
      <p>
        <strong>{valid ? "valid" : found.open ? "not known" : "not valid"}</strong>{" "}
        {valid ? <>at {sizes}</> : node ? (
          <>
            <button type="button" class="link" onClick={() => show(failure.node)}>{name}</button> cannot take {sizes}:{" "}
            {whyOf(failure, branch)}
          </>
        ) : failure ? (
          <>the model refuses {sizes} at {failure.guard.where}{failure.guard.said && `: ${failure.guard.said}`}</>
        ) : <>{said} ({sizes})</>}
      </p>
      {failure && (
        <p>along {failure.requirement.along.join(", ")}: needs <code>{failure.requirement.text}</code>; {consequence(failure.requirement, at)}</p>
      )}
      {ways && (
        <p class="ways">
          {["pad", "crop", "resize"].filter((way) => ways.ways[way]).map((way) => (
            <Way key={way} way={way} values={values} sizes={ways.ways[way]} setSizes={setSizes} />
          ))}
          {!Object.keys(ways.ways).length && (ways.searched ? "no valid size was found nearby: net.nearest_valid in python knows" : "no size of any kind is valid")}
        </p>
      )}
      <p class="domain">valid sizes: <code>{net.domain}</code></p>
      {net.branches.length > 1 && (
        <p>{net.branches.length} branches on sizes; {found.said ? "none holds here" : <>the one that holds here is for <code>{branch.where}</code></>}</p>
      )}
      {branch.hyperparameters.length > 0 && (
        <p>what a layer checks of {branch.hyperparameters.join(", ")} alone is not checked here: net.shape_at in python does</p>
      )}
      {net.scope && <p class="scope">not all branches of the model were followed: this page holds {net.scope}</p>}
    </div>
  );
}

function Way({ way, values, sizes, setSizes }) {
  const changed = Object.entries(sizes).filter(([name, x]) => values[name] !== x);
  return (
    <span class="way">
      <button type="button" onClick={() => setSizes(Object.fromEntries(changed))}
        title={changed.map(([n, x]) => `${n} = ${x}`).join(", ")}>
        {way} to {changed.map(([, x]) => String(x)).join("×")}
      </button>
      <small>{changed.map(([name]) => name).join("×")}</small>
    </span>
  );
}

function Totals({ branch, at, valid }) {
  const open = useMemo(() => branch.copies.some((i) => mayView(branch, i, at)), [branch, at]);
  return (
    <dl class="totals">
      <div><dt>output</dt><dd>{valid ? branch.outputs.map((dims) => shapeText(at.shape(dims))).join(", ") || "no tensor" : "–"}</dd></div>
      {branch.totals.map(({ name, value, why: unknown, bound }) => {
        const why = unknown ?? (open && name.endsWith("bytes") ? MAY_VIEW : undefined);
        const shown = valid || !Array.isArray(value);
        const number = why || !shown ? null : at.value(single(branch, at)?.[name] ?? value);
        return (
          <div key={name}>
            <dt>{name}</dt>
            <dd title={why}>
              {why ? "not known" : !shown ? "–" : <>{bound}{digits(number)}{rounded(number) && <small> {rounded(number)}</small>}</>}
            </dd>
          </div>
        );
      })}
    </dl>
  );
}

/** Which sizes give a target at the chosen layer, or at the last map. */
function Target({ net, branch, values, evaluate, setSizes, state, set }) {
  const node = state.layer ?? branch.target;
  const wanted = state.target ? parseTarget(state.target) : null;
  const answer = useMemo(
    () => (wanted && node !== null && node >= 0 ? solve(net, values, evaluate, node, wanted) : null),
    [state.target, node, branch],
  );
  if (branch.target === null && state.layer === null) return null;
  const least = answer?.least;
  return (
    <form class="target" onSubmit={(e) => e.preventDefault()}>
      <label>
        which sizes give{" "}
        <input type="text" value={state.target} placeholder="7x7" spellcheck={false} autocomplete="off"
          onInput={(e) => set({ target: e.currentTarget.value })} />
      </label>{" "}
      at <b>{node >= 0 ? branch.nodes[node].name : "the input"}</b>?{" "}
      <output>
        {state.target && !wanted ? `“${state.target}” is no size such as 7x7` : answer?.said}
        {least && (
          <button type="button" onClick={() => setSizes(Object.fromEntries(Object.entries(least)))}>
            show {Object.values(least).map(String).join("×")}
          </button>
        )}
      </output>
    </form>
  );
}
