{# Incremental strategy 'replace': rows that `incremental_predicates` name make way for all that the model selected. Unlike
   delete+insert by key, rows that no longer come out are gone too, as after a full refresh. #}
{% macro get_incremental_replace_sql(arg_dict) -%}
    delete from {{ arg_dict['target_relation'] }} where {{ arg_dict['incremental_predicates'] | join(' and ') }};
    insert into {{ arg_dict['target_relation'] }} ({{ get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')) }})
    select {{ get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')) }} from {{ arg_dict['temp_relation'] }}
{%- endmacro %}
