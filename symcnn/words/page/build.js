// Bundles src/ into built/page.js and built/page.css, or into the folder that is named.
import { build } from "esbuild";

await build({
  entryPoints: { page: "src/page.jsx" },
  outdir: process.argv[2] ?? "built",
  bundle: true,
  minify: true,
  format: "iife",
  target: ["chrome111", "firefox111", "safari16.4"],
  jsx: "automatic",
  jsxImportSource: "preact",
  charset: "utf8",
  legalComments: "none",
});
