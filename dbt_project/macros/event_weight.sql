{# Worth of one event as evidence of taste; 0 for a type that the setting does not name. #}
{% macro event_weight(event_type) -%}
    cast(case {{ event_type }}
    {%- for name, weight in var('event_weights').items() %} when '{{ name }}' then {{ weight }}{% endfor %} else 0 end as double)
{%- endmacro %}
