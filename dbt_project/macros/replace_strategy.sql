{# Incremental strategy 'replace': rows that `incremental_predicates` name make way for all that the model selected. Unlike
   delete+insert by key, rows that no longer come out are gone too, as after a full refresh. The predicates are rendered here and
   not where dbt reads the config, so that they may speak of the night. #}
{% macro get_incremental_replace_sql(arg_dict) -%}
    delete from {{ arg_dict['target_relation'] }} where {{ render(arg_dict['incremental_predicates'] | join(' and ')) }};
    insert into {{ arg_dict['target_relation'] }} ({{ get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')) }})
    select {{ get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')) }} from {{ arg_dict['temp_relation'] }}
{%- endmacro %}
