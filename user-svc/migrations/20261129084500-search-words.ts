/**
 * Text search by the words of a text, independent of the locale of the database.
 *
 * The parser of `to_tsvector` reads `foo.png`, `Alpha/Beta` and e-mail addresses as one token each, and decides by the
 * locale of the database which characters are letters: with `C`, typographic quotation marks are. The functions here
 * split texts and queries alike:
 *
 * - White space, punctuation and symbols separate words, by the Unicode tables of PostgreSQL (collation pg_c_utf8).
 * - A word of two or three runs of letters and digits is also indexed by each run: `7604NI` by `7604` and `ni`.
 * - Words are normalized (NFKC, case folding) and stemmed by the dictionary english_stem.
 *
 * A change of a function requires a migration that fills the column again.
 *
 * The column `words` replaces `search`, which the previous release uses. A generated column would rewrite the table
 * under an exclusive lock, so a trigger maintains it, and existing rows are filled in batches that commit on their own.
 * Without a transaction: each statement is repeatable, and a repeated run continues with the rows that are not filled.
 *
 * Measured with 500 characters of English text: 195 us for `search_vector`, 92 us for `to_tsvector`.
 */
import { type Kysely, sql } from 'kysely'

export const transaction = false

// Punctuation and white space; symbols, to which PostgreSQL counts no circled letters; and invisible characters: U+200B to
// U+206F (such as zero-width space and direction marks), variation selectors, and the byte order mark.
const SEPARATORS =
  '[:space:][:cntrl:][:punct:]\\u24b6-\\u24e9\\U0001f130-\\U0001f189' +
  '\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufe00-\\ufe0f\\ufeff'
const DIACRITICS = '\\u0300-\\u036f\\u1ab0-\\u1aff\\u1dc0-\\u1dff\\u20d0-\\u20ff\\ufe20-\\ufe2f\\U0001d165-\\U0001d1ad'

export async function up(db: Kysely<unknown>): Promise<void> {
  await requireUtf8(db)
  await createFunctions(db)
  await sql`alter table documents_all add column if not exists words tsvector`.execute(db)
  await sql`
    create or replace trigger set_words before insert or update of title, body on documents_all
    for each row execute function set_document_words()`.execute(db)
  await fill(db)
  await requireWords(db)
  await sql`
    create or replace view documents as
    select id, owner_id, title, body, tags, visibility, department, version, created_at, updated_at, search, words
    from documents_all
    where deleted_at is null
      and not exists (select from users_all where users_all.id = owner_id and users_all.deleted_at is not null)`.execute(
    db,
  )
  // Waits for earlier transactions without blocking other statements.
  await sql`set lock_timeout = 0`.execute(db)
  // Left invalid by an interrupted run.
  await sql`drop index concurrently if exists documents_words`.execute(db)
  await sql`
    create index concurrently documents_words on documents_all using gin (words) where deleted_at is null`.execute(db)
  await sql`vacuum (analyze) documents_all`.execute(db)
}

async function requireUtf8(db: Kysely<unknown>): Promise<void> {
  const { rows } = await sql<{ encoding: string }>`select current_setting('server_encoding') as encoding`.execute(db)
  const encoding = rows[0]?.encoding
  if (encoding !== 'UTF8') throw new Error(`the encoding of the database is ${encoding}, and must be UTF8`)
}

async function createFunctions(db: Kysely<unknown>): Promise<void> {
  // Replaces each run of separators, with the diacritics on them, by one space, and removes soft hyphens.
  await sql`
    create or replace function separate_words(source text) returns text
    language sql immutable strict parallel safe
    return regexp_replace(
      replace(source, U&'\\00AD', ''),
      '[${sql.raw(SEPARATORS)}][${sql.raw(SEPARATORS + DIACRITICS)}]*' collate pg_c_utf8,
      ' ',
      'g'
    )`.execute(db)
  // Separates before the normalization, which makes letters of symbols (`Name™`), and after it, which makes symbols of
  // letters (`½`). The lower case of what case folding leaves (`İ`) keeps the dictionary from changing it by the locale.
  await sql`
    create or replace function search_words(source text) returns text
    language sql immutable strict parallel safe
    return lower(casefold(
      case
        when source is nfkc normalized then separate_words(source)
        else separate_words(normalize(separate_words(source), nfkc))
      end collate pg_c_utf8
    ))`.execute(db)
  // Returns `ds 7604|7604ni ni|7604ni` for `ds 7604ni`: each position with its variants. The whole word has the position
  // of each of its runs, so that phrases of runs and phrases of whole words match. Words of more runs, such as hashes,
  // would add a variant for each digit.
  await sql`
    create or replace function split_numbers(words text) returns text
    language sql immutable strict parallel safe
    return case when words !~ '[0-9]' then words else
      regexp_replace(
        regexp_replace(
          words,
          '(?<![^ ])([0-9]+|[^0-9 ]+)((?<=[0-9])[^0-9 ]+|(?<=[^0-9])[0-9]+)(?![^ ])',
          '\\1|\\1\\2 \\2|\\1\\2',
          'g'
        ),
        '(?<![^ ])([0-9]+|[^0-9 |]+)((?<=[0-9])[^0-9 |]+|(?<=[^0-9])[0-9]+)((?<=[0-9])[^0-9 |]+|(?<=[^0-9])[0-9]+)(?![^ ])',
        '\\1|\\1\\2\\3 \\2|\\1\\2\\3 \\3|\\1\\2\\3',
        'g'
      )
    end`.execute(db)
  // A lexeme has at most 2,046 bytes, so a word is cut after 500 characters.
  await sql`
    create or replace function search_vector(source text) returns tsvector
    language sql immutable strict parallel safe
    return (
      select coalesce(string_agg(quote_literal(lexeme) || ':' || position, ' '), '')::tsvector
      from string_to_table(split_numbers(search_words(source)), ' ') with ordinality as item (variants, position),
        string_to_table(variants, '|') as word,
        unnest(ts_lexize('pg_catalog.english_stem', left(word, 500))) as lexeme
      where word <> ''
    )`.execute(db)
  // The words of a query, joined by an operator: `&`, `|`, or `<->` for a phrase. A prefix matches the unstemmed word
  // too, because stemming changes prefixes: `the*` must match "theory".
  await sql`
    create or replace function search_query(source text, operator text, is_prefix boolean) returns tsquery
    language sql immutable strict parallel safe
    return (
      select coalesce(string_agg(concat(
        case when gap is null then '' when operator = '<->' then format('<%s>', gap) else operator end, operand
      ), ' ' order by position), '')::tsquery
      from (
        select position, operand, position - lag(position) over (order by position) as gap
        from (
          select position, case
            when is_prefix and position = max(position) over ()
            then format('(%s)', concat_ws('|', quote_literal(lexeme) || ':*', quote_literal(left(word, 500)) || ':*'))
            else quote_literal(lexeme)
          end as operand
          from string_to_table(search_words(source), ' ') with ordinality as item (word, position)
          left join unnest(ts_lexize('pg_catalog.english_stem', left(word, 500))) as lexeme on true
          where word <> ''
        ) as operands
        where operand is not null
      ) as operands
    )`.execute(db)
  // The words of a text that match a query, for highlighting. The whole word is the second variant of each run.
  await sql`
    create or replace function matched_words(source text, query tsquery) returns text[]
    language sql immutable strict parallel safe
    return array(
      select coalesce(nullif(split_part(variants, '|', 2), ''), variants)
      from (select distinct string_to_table(split_numbers(search_words(source)), ' ') as variants) as items,
        string_to_table(variants, '|') as word,
        unnest(ts_lexize('pg_catalog.english_stem', left(word, 500))) as lexeme
      where word <> '' and array_to_tsvector(array[lexeme]) @@ query
    )`.execute(db)
  await sql`
    create or replace function document_words(title text, body text) returns tsvector
    language sql immutable strict parallel safe
    return setweight(search_vector(title), 'A') || setweight(search_vector(body), 'B')`.execute(db)
  await sql`
    create or replace function set_document_words() returns trigger language plpgsql set search_path from current as $$
    begin
      new.words := document_words(new.title, new.body);
      return new;
    end $$`.execute(db)
}

/**
 * Fills `words` of existing rows. A batch waits for no locked row, so that it takes part in no deadlock; the next pass fills
 * these rows. A concurrent write waits for at most one batch.
 */
async function fill(db: Kysely<unknown>): Promise<void> {
  for (;;) {
    await fillUnlocked(db)
    const { rows } = await sql`select from documents_all where words is null limit 1`.execute(db)
    if (rows.length === 0) return
    await sql`select pg_sleep(0.5)`.execute(db)
  }
}

async function fillUnlocked(db: Kysely<unknown>): Promise<void> {
  let after = '00000000-0000-0000-0000-000000000000'
  for (;;) {
    // Continue after the last id: searching for empty rows from the start would scan all filled rows in each batch.
    const { rows } = await sql<{ last: string | null }>`
      with batch as materialized (select id from documents_all where id > ${after}::uuid order by id limit 500),
      unlocked as materialized (
        select id from documents_all where id in (select id from batch) and words is null
        for no key update skip locked
      ),
      filled as (
        update documents_all set words = document_words(title, body) where id in (select id from unlocked)
      )
      select max(id::text) as last from batch`.execute(db)
    const last = rows[0]?.last
    if (last == null) return
    after = last
  }
}

/** Scans the table under a lock that allows reads and writes. */
async function requireWords(db: Kysely<unknown>): Promise<void> {
  await sql`alter table documents_all drop constraint if exists documents_words_there`.execute(db)
  await sql`alter table documents_all add constraint documents_words_there not null words not valid`.execute(db)
  await sql`alter table documents_all validate constraint documents_words_there`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await db.transaction().execute(async transaction => {
    await sql`drop view if exists comments, documents`.execute(transaction)
    await createViews(transaction)
  })
  await sql`drop trigger if exists set_words on documents_all`.execute(db)
  await sql`alter table documents_all drop column if exists words`.execute(db)
  await sql`
    drop function if exists set_document_words, document_words, matched_words, search_query, search_vector, split_numbers,
      search_words, separate_words`.execute(db)
}

// A view cannot lose a column by being replaced, nor be dropped without its trigger.
async function createViews(db: Kysely<unknown>): Promise<void> {
  await sql`
    create view documents as
    select id, owner_id, title, body, tags, visibility, department, version, created_at, updated_at, search
    from documents_all
    where deleted_at is null
      and not exists (select from users_all where users_all.id = owner_id and users_all.deleted_at is not null)`.execute(
    db,
  )
  await sql`
    create trigger delete instead of delete on documents
    for each row execute function delete_document()`.execute(db)
  await sql`
    create view comments as
    select id, document_id, author_id, body, sentiment, created_at from comments_all
    where deleted_at is null
      and not exists (select from users_all where users_all.id = author_id and users_all.deleted_at is not null)
      and exists (select from documents where documents.id = document_id)`.execute(db)
  await sql`
    create trigger delete instead of delete on comments
    for each row execute function delete_comment()`.execute(db)
}
