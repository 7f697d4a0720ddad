{# An age in years, NULL where no customer can be so old or so young. #}
{% macro possible_age(age) -%}
    case when {{ age }} between {{ var('youngest_age') }} and {{ var('oldest_age') }} then {{ age }} end
{%- endmacro %}
