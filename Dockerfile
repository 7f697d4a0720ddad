FROM python:3.11-slim

# An index that holds the build of torch without GPU libraries saves gigabytes: docker build --build-arg PIP_EXTRA_INDEX_URL=...
ARG PIP_EXTRA_INDEX_URL=""

RUN useradd --uid 10001 --create-home nightshelf && install -d -o nightshelf /state
WORKDIR /opt/nightshelf

COPY requirements.txt .
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements.txt

COPY pyproject.toml LICENSE ./
COPY dags dags
COPY dbt_project dbt_project
COPY ml ml
COPY include include
RUN python -m compileall -q dags ml include

USER nightshelf
ENV PYTHONPATH=/opt/nightshelf PYTHONUNBUFFERED=1
VOLUME /state
