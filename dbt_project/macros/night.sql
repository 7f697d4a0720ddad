{# The night's as-of moment: rows from it on do not exist. #}
{% macro as_of() -%}
    cast('{{ var("as_of") }}' as timestamp)
{%- endmacro %}

{# True for the version of a raw row that counted at the night's as-of moment. #}
{% macro visible_at_night(event_time=none) -%}
    {% if event_time %}({{ event_time }} is null or {{ event_time }} < {{ as_of() }}) and {% endif -%}
    _valid_from < {{ as_of() }} and (_superseded_at is null or _superseded_at >= {{ as_of() }})
{%- endmacro %}

{# A time inside a row, NULL where it lay ahead at the as-of moment. #}
{% macro known_at_night(time) -%}
    case when {{ time }} < {{ as_of() }} then {{ time }} end
{%- endmacro %}

{# First moment from which events may differ from the night before. #}
{% macro rebuild_from() -%}
    cast('{{ var("rebuild_from") }}' as timestamp)
{%- endmacro %}
