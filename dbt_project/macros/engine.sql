{# What another engine than DuckDB would spell differently. A second engine adds its spelling here, and no model changes. #}

{% macro seconds_between(earlier, later) -%}
    (epoch({{ later }}) - epoch({{ earlier }}))
{%- endmacro %}

{% macro days_between(earlier, later) -%}
    ({{ seconds_between(earlier, later) }} / 86400.0)
{%- endmacro %}

{# Years that are complete at the later moment. #}
{% macro full_years_between(earlier, later) -%}
    date_sub('year', cast({{ earlier }} as timestamp), {{ later }})
{%- endmacro %}

{% macro minus_minutes(moment, minutes) -%}
    ({{ moment }} - to_minutes(cast({{ minutes }} as bigint)))
{%- endmacro %}

{% macro minus_days(moment, days) -%}
    ({{ moment }} - to_days(cast({{ days }} as integer)))
{%- endmacro %}

{% macro midnight(moment) -%}
    cast(date_trunc('day', {{ moment }}) as timestamp)
{%- endmacro %}

{# Texts joined by a separator; missing and empty ones are left out. #}
{% macro join_texts(texts, separator='. ') -%}
    concat_ws('{{ separator }}'{% for text in texts %}, nullif(trim({{ text }}), ''){% endfor %})
{%- endmacro %}

{% macro text_hash(text) -%}
    sha256({{ text }})
{%- endmacro %}

{# A sum that comes out the same whatever order the rows are added in, exact to nine decimals. #}
{% macro exact_sum(value) -%}
    cast(sum(cast({{ value }} as decimal(18, 9))) as double)
{%- endmacro %}

{% macro median_of(value) -%}
    median({{ value }})
{%- endmacro %}

{% macro quantile_of(value, share) -%}
    quantile_cont({{ value }}, {{ share }})
{%- endmacro %}

{# The rows of a group as a list in the order of their columns, the last `at_most` of them; and one column of such a list. #}
{% macro last_rows(columns, at_most) -%}
    list_sort(list(struct_pack({% for column in columns %}{{ column }} := {{ column }}{{ ', ' if not loop.last }}{% endfor %})))[-{{ at_most }}:]
{%- endmacro %}

{% macro column_of_rows(rows, column) -%}
    [row_of_list.{{ column }} for row_of_list in {{ rows }}]
{%- endmacro %}

{# Keeps the keys of one bucket where a model is built bucket by bucket (config `bucketed_by`), and all elsewhere. #}
{% macro in_bucket(key) -%}
    ((getvariable('bucket_after') is null or {{ key }} > cast(getvariable('bucket_after') as varchar))
    and (getvariable('bucket_end') is null or {{ key }} <= cast(getvariable('bucket_end') as varchar)))
{%- endmacro %}

{# The last key of each bucket, as a list, where so many hold about as many keys each. #}
{% macro ends_of_buckets(relation, key, buckets) -%}
    (select list(last_key order by last_key) from (
        select max({{ key }}) as last_key
        from (select {{ key }}, ntile({{ buckets }}) over (order by {{ key }}) as bucket from (select distinct {{ key }} from {{ relation }}))
        group by bucket
    ))
{%- endmacro %}

{# A group's names and numbers as a JSON object in text, in the given order. #}
{% macro json_object_of(name, number, order_by) -%}
    '{' || string_agg(cast(to_json({{ name }}) as varchar) || ': ' || cast({{ number }} as varchar), ', ' order by {{ order_by }}) || '}'
{%- endmacro %}
