/** Reads the facts that the layout rules need from the syntax tree of a source file. */
import { type Expression, parseSync, Visitor } from 'oxc-parser'

/** Facts of a source file. */
export interface SourceFile {
  /** Path relative to the root of the repository, with forward slashes. */
  readonly path: string
  /** Specifiers of all imports, including type imports, re-exports, `import()` and worker threads. */
  readonly imports: readonly string[]
  readonly hasDefaultExport: boolean
  /** Whether the file accesses `process.env` in any form. */
  readonly readsEnvironment: boolean
}

/** Parses a source file. @throws Error if the text is not valid TypeScript. */
export function readSourceFile(path: string, text: string): SourceFile {
  const { program, module, errors } = parseSync(path, text, { lang: 'ts' })
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]?.message}`)
  const imports = module.staticImports.map(({ moduleRequest }) => moduleRequest.value)
  for (const { entries } of module.staticExports) {
    for (const { moduleRequest } of entries) if (moduleRequest !== null) imports.push(moduleRequest.value)
  }
  const hasDefaultExport = module.staticExports.some(({ entries }) =>
    entries.some(({ exportName }) => exportName.name === 'default' || exportName.kind === 'Default'),
  )

  let readsEnvironment = module.staticImports.some(
    ({ moduleRequest, entries }) =>
      /^(node:)?process$/.test(moduleRequest.value) && entries.some(({ importName }) => importName.name === 'env'),
  )
  new Visitor({
    ImportExpression({ source }) {
      const literal = textOf(source)
      if (literal !== undefined) imports.push(literal)
    },
    NewExpression({ callee, arguments: [first] }) {
      // A worker thread is an import, too: new URL('./worker.ts', import.meta.url).
      const literal = first?.type === 'Literal' ? textOf(first) : undefined
      if (callee.type === 'Identifier' && callee.name === 'URL' && literal?.endsWith('.ts')) imports.push(literal)
    },
    TSImportType({ source }) {
      imports.push(source.value)
    },
    MemberExpression({ object, property }) {
      const name = property.type === 'Identifier' ? property.name : textOf(property as Expression)
      if (object.type === 'Identifier' && object.name === 'process' && name === 'env') readsEnvironment = true
    },
    VariableDeclarator({ id, init }) {
      if (init?.type !== 'Identifier' || init.name !== 'process' || id.type !== 'ObjectPattern') return
      for (const property of id.properties) {
        if (property.type === 'Property' && property.key.type === 'Identifier' && property.key.name === 'env') {
          readsEnvironment = true
        }
      }
    },
  }).visit(program)
  return { path, imports, hasDefaultExport, readsEnvironment }
}

function textOf(expression: Expression): string | undefined {
  return expression.type === 'Literal' && typeof expression.value === 'string' ? expression.value : undefined
}
