{# What is different every night: its moment, its folders, its release. A night hands these on beside dbt's `--vars`, as metadata of
   the run (environment DBT_ENV_CUSTOM_ENV_<NAME>): other variables mean another parse of the whole project, which takes longer than
   a small shop's SQL. Nothing that dbt reads while it parses may come from here: configs, that is, unless they are rendered later.
   A variable of the same name goes first, for unit tests and for runs by hand. #}
{% macro of_night(name) -%}
    {%- set while_parsing = {'as_of': '2026-01-01 00:00:00', 'rebuild_from': '1970-01-01 00:00:00'} -%}
    {{- var(name, dbt_metadata_envs.get(name | upper, while_parsing.get(name, name))) -}}
{%- endmacro %}

{# The night's as-of moment: rows from it on do not exist. #}
{% macro as_of() -%}
    cast('{{ of_night("as_of") }}' as timestamp)
{%- endmacro %}

{# True for the version of a raw row that counted at the night's as-of moment. #}
{% macro visible_at_night(event_time=none) -%}
    {% if event_time %}({{ event_time }} is null or {{ event_time }} < {{ as_of() }}) and {% endif -%}
    _valid_from < {{ as_of() }} and (_superseded_at is null or _superseded_at >= {{ as_of() }})
    and (_gone_at is null or _gone_at >= {{ as_of() }}) and (deleted_at is null or deleted_at >= {{ as_of() }})
{%- endmacro %}

{# A time inside a row, NULL where it lay ahead at the as-of moment. #}
{% macro known_at_night(time) -%}
    case when {{ time }} < {{ as_of() }} then {{ time }} end
{%- endmacro %}

{# First moment from which events may differ from the night before. #}
{% macro rebuild_from() -%}
    cast('{{ of_night("rebuild_from") }}' as timestamp)
{%- endmacro %}
