{# Writes a model to one Parquet file of the night's feature snapshot and puts a view over it. The adapter's own `external`
   goes through a table and puts a row of NULLs into an empty file; models must find an empty file empty.

   Config `bucketed_by` names the model whose rows decide how many parts (see macro in_bucket) the rows are made in, one after the
   other, so that memory stays bounded. A part is a range of the first column, the key, which that model is sorted by too: what
   belongs to a part lies together there, and is all that is read for it. #}
{% materialization parquet, adapter='duckdb' -%}
    {%- set location = of_night('features_dir') ~ '/' ~ this.identifier ~ '.parquet' -%}
    {%- set view = this.incorporate(type='view') -%}

    {{ run_hooks(pre_hooks) }}
    {%- set bucketed_by = config.get('bucketed_by') -%}
    {%- set selected = compiled_code -%}
    {%- if bucketed_by -%}
        {%- set key = config.require('bucketed_on') -%}
        {%- set source = ref(bucketed_by) -%}
        {%- set rows = run_query('select count(*) from ' ~ source).columns[0].values()[0] | int -%}
        {%- set buckets = 1 + rows // var('rows_a_bucket') -%}
        {%- set parts = this.identifier ~ '__parts' -%}
        {%- set selected = 'select * from ' ~ parts -%}
        {% do run_query('set variable bucket_ends = ' ~ ends_of_buckets(source, key, buckets)) %}
        {%- for bucket in range(1, buckets + 1) %}
            {% do run_query('set variable bucket_after = getvariable(\'bucket_ends\')[' ~ (bucket - 1) ~ ']') %}
            {% do run_query('set variable bucket_end = ' ~ ('null' if loop.last else 'getvariable(\'bucket_ends\')[' ~ bucket ~ ']')) %}
            {% do run_query(('create or replace temporary table ' ~ parts ~ ' as ' if loop.first else 'insert into ' ~ parts ~ ' ') ~ compiled_code) %}
        {%- endfor %}
        {% do run_query('reset variable bucket_ends; reset variable bucket_after; reset variable bucket_end') %}
    {%- endif %}
    {% call statement('main') -%}
        copy (
        {{ selected }}
        ) to {{ quote(location) }} (format parquet, compression zstd)
    {%- endcall %}
    {%- if bucketed_by %}{% do run_query('drop table ' ~ parts) %}{% endif %}
    {% call statement('view') -%}
        create or replace view {{ view }} as select * from read_parquet({{ quote(location) }})
    {%- endcall %}
    {{ run_hooks(post_hooks) }}
    {% do adapter.commit() %}

    {{ return({'relations': [view]}) }}
{%- endmaterialization %}

{# The rows of the Parquet files that are there, as `columns` (name to type) say; no rows where there is none. #}
{% macro read_parquet_if_any(paths, columns) -%}
    {%- set found = [] -%}
    {%- if execute -%}
        {%- for path in paths -%}
            {%- do found.extend(run_query('select file from glob(' ~ quote(path) ~ ') order by file').columns[0].values()) -%}
        {%- endfor -%}
    {%- endif -%}
    select
    {%- for name, type in columns.items() %}
        cast({{ name if found else 'null' }} as {{ type }}) as {{ name }}{{ ',' if not loop.last }}
    {%- endfor %}
    {% if found -%}
    from read_parquet([{% for path in found %}{{ quote(path) }}{{ ', ' if not loop.last }}{% endfor %}], union_by_name = true)
    {%- else -%}
    where false
    {%- endif %}
{%- endmacro %}

{# What a model of the night predicted: a file in the night's prediction folder. No rows where the model said that this shop cannot have it.
   A model that has said nothing yet is an error: the table would be empty without a word. #}
{% macro read_predictions(model, file, columns) -%}
    {%- set folder = of_night('predictions_dir') -%}
    {%- if execute and folder != 'predictions_dir' -%}
        {%- set said = run_query('select count(*) from glob(' ~ quote(folder ~ '/ended_' ~ model ~ '.json') ~ ')').columns[0].values()[0] -%}
        {%- if not said -%}
            {{ exceptions.raise_compiler_error(this.identifier ~ ' is made of the predictions of model ' ~ model ~ ', which has not been learned this night: build it after the task learn_' ~ model) }}
        {%- endif -%}
    {%- endif -%}
    {{ read_parquet_if_any([folder ~ '/' ~ file ~ '.parquet'], columns) }}
{%- endmacro %}

{% macro quote(text) -%}
    '{{ text | replace("'", "''") }}'
{%- endmacro %}
