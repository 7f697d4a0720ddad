-- What the SELECTs of all sources share. A value a macro cannot read comes out as it went in, so that the contract can
-- turn the row away with the original value in hand.

create or replace macro from_unix_seconds(value) as
    coalesce(try(make_timestamp(try_cast(value as bigint) * 1000000))::varchar, value);

create or replace macro from_unix_milliseconds(value) as
    coalesce(try(make_timestamp(try_cast(value as bigint) * 1000))::varchar, value);

-- '5.0' and '17850.0' as floating-point columns write them, back to '5' and '17850'.
create or replace macro whole_number(value) as
    regexp_replace(value, '\.0+$', '');

-- A key for rows that have none: the same values give the same key. Without any value there is no key.
create or replace macro key_of(fields) as
    case when len(list_filter(fields, lambda field: field is not null)) > 0
         then md5(array_to_string(list_transform(fields, lambda field: coalesce(field, chr(30))), chr(31))) end;

-- A JSON list of texts (or one text) as a list, and as one text.
create or replace macro json_texts(value) as
    coalesce(try_cast(try_cast(value as json) as varchar[]), [value]);

create or replace macro json_words(value) as
    nullif(trim(array_to_string(json_texts(value), ' ')), '');

-- Levels of a category, widest first, as the contract writes them; empty and repeated levels left out.
create or replace macro category_path(levels) as
    nullif(array_to_string(
        list_filter(levels, lambda level, place: level <> '' and place = list_position(levels, level)), ' > '
    ), '');

-- An address is the only name some exports have for a customer; this is one that gives no address away.
create or replace macro customer_of_email(email) as
    'c' || left(sha256(nullif(lower(trim(email)), '')), 16);

-- Exports put an apostrophe before what a spreadsheet would take for a number or a formula.
create or replace macro without_apostrophe(value) as
    nullif(trim(regexp_replace(value, '^\s*''', '')), '');

-- An id for a line that names no product, from what it is called.
create or replace macro line_named(name) as
    'line-' || left(sha256(nullif(lower(trim(name)), '')), 16);

-- Of several paths 'A > B' the deepest, and the first of those.
create or replace macro deepest_path(paths) as
    paths[list_position(
        list_transform(paths, lambda path: len(string_split(path, ' > '))),
        list_max(list_transform(paths, lambda path: len(string_split(path, ' > '))))
    )];

-- The values of a JSON list, each as JSON.
create or replace macro json_values(value) as
    coalesce(try_cast(try_cast(value as json) as json[]), []);

-- Google Analytics' lists: of objects, or wrapped once more as {"list": [{"element": ...}]} in Parquet without list types.
create or replace macro ga4_list(value) as
    case when try_cast(value as json) ->> 'list' is null then json_values(value)
         else list_transform(json_values(try_cast(value as json) ->> 'list'), lambda entry: entry -> 'element') end;

-- A parameter of an event, whatever type it has; (not set) is none.
create or replace macro ga4_param(params, name) as (
    select nullif(coalesce(found ->> 'string_value', found ->> 'int_value', found ->> 'double_value', found ->> 'float_value'), '(not set)')
    from (select list_filter(ga4_list(params), lambda entry: entry ->> 'key' = name)[1] -> 'value' as found)
);

-- A visitor: the shop's own id where it gives one (and no address), else the browser's.
-- NULL for the words that tags write where they have nothing.
create or replace macro ga4_told(value) as
    case when lower(trim(value)) not in ('', '(not set)', 'undefined', 'null', 'none', 'nan', 'n/a') then value end;

create or replace macro ga4_visitor(user_id, user_pseudo_id) as
    coalesce(case when user_id like '%@%' then customer_of_email(user_id) else nullif(ga4_told(user_id), '0') end, user_pseudo_id);

create or replace macro ga4_product(item) as
    coalesce(ga4_told(item ->> 'item_id'), line_named(ga4_told(item ->> 'item_name')));

create or replace macro from_unix_microseconds(value) as
    coalesce(try(make_timestamp(try_cast(value as bigint)))::varchar, value);

-- An order's id; a purchase that has none is known by who bought when.
create or replace macro ga4_order(ecommerce, params, user_pseudo_id, event_timestamp) as
    coalesce(
        ga4_told(try_cast(ecommerce as json) ->> 'transaction_id'),
        ga4_told(ga4_param(params, 'transaction_id')),
        key_of([user_pseudo_id, event_timestamp])
    );
