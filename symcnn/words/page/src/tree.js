// The rows of a table as a tree: modules, the layers in them, and long lists in pieces.

const LONG = 200;
const PIECE = 100;
const SHOWN = 1000;

/** The tree of a branch: `{ group | node, children }`, long lists of rows in pieces. */
export function treeOf(branch) {
  const root = { children: [], level: 0 };
  const stack = [root];
  for (const entry of branch.entries) {
    const row = Array.isArray(entry)
      ? { level: entry[0], name: entry[1], first: entry[2], last: entry[3], params: entry[4], children: [] }
      : { level: branch.nodes[entry].level, name: branch.nodes[entry].name, node: entry };
    while (stack[stack.length - 1].level >= row.level) stack.pop();
    stack[stack.length - 1].children.push(row);
    if (row.children) stack.push(row);
  }
  pieces(root);
  number(root, "");
  return root.children;
}

function pieces(row) {
  row.children.forEach((child) => child.children && pieces(child));
  while (row.children.length > LONG) {
    const found = [];
    for (let i = 0; i < row.children.length; i += PIECE) {
      const children = row.children.slice(i, i + PIECE);
      const ends = [children[0], children[children.length - 1]];
      found.push({
        level: row.level + 1,
        name: `${ends[0].ends?.[0] ?? ends[0].name} … ${ends[1].ends?.[1] ?? ends[1].name}`,
        ends: [ends[0].ends?.[0] ?? ends[0].name, ends[1].ends?.[1] ?? ends[1].name],
        first: ends[0].first ?? ends[0].node,
        last: ends[1].last ?? ends[1].node,
        piece: true,
        children,
      });
    }
    row.children = found;
  }
}

function number(row, key) {
  row.children.forEach((child, i) => {
    child.key = `${key}${i}`;
    child.depth = row.depth === undefined ? 0 : row.depth + 1;
    if (child.children) number(child, `${child.key}.`);
  });
}

/** Which rows are open at first: level by level, as long as the page stays readable. */
export function opened(rows, most = SHOWN) {
  const open = new Set();
  let shown = rows.length, level = rows;
  while (level.length) {
    const groups = level.filter((row) => row.children);
    const more = groups.flatMap((row) => row.children);
    if (shown + more.length > most) break;
    groups.forEach((row) => open.add(row.key));
    shown += more.length;
    level = more;
  }
  return open;
}

/** The rows to show, those in closed ones left out. */
export function visible(rows, open, found = []) {
  for (const row of rows) {
    found.push(row);
    if (row.children && open.has(row.key)) visible(row.children, open, found);
  }
  return found;
}

/** The rows around a node, from the outermost in; the node's own last. */
export function pathTo(rows, node) {
  for (const row of rows) {
    if (row.node === node) return [row];
    if (row.children && row.first <= node && node <= row.last) {
      const inside = pathTo(row.children, node);
      if (inside.length) return [row, ...inside];
    }
  }
  return [];
}
