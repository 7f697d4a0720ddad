{# Whether a row of stg_products can be had at the night, whatever the shop's rules say. #}
{% macro on_sale(products) -%}
    (
        coalesce({{ products }}.stock > 0, true)
        and not coalesce({{ products }}.is_hidden, false)
        and coalesce({{ products }}.available_until > {{ as_of() }}, true)
    )
{%- endmacro %}
