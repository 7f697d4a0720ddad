{# Whether a category is the given one or lies below it. #}
{% macro in_category(category, wide) -%}
    ({{ category }} = {{ wide }} or starts_with({{ category }}, {{ wide }} || ' > '))
{%- endmacro %}
