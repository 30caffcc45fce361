# A service or a learner of a live system: compose.yaml runs both. Torch is its CPU build.
FROM python:3.11-slim AS build
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim
# Torch first and alone: its layer is the large one, and stays as it is while the code changes.
COPY constraints.txt /tmp/constraints.txt
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \
    --constraint /tmp/constraints.txt torch
COPY --from=build /wheels /tmp/wheels
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt "$(echo /tmp/wheels/easq-*.whl)[engine]"
# A named volume takes its owner from this folder.
RUN useradd --uid 10001 --create-home easq && mkdir /data && chown easq /data
USER 10001
WORKDIR /data
VOLUME /data
# Threads of torch that spin while they wait take the cores of the other role.
ENV OMP_WAIT_POLICY=PASSIVE PYTHONUNBUFFERED=1
EXPOSE 8377
ENTRYPOINT ["easq"]
CMD ["--help"]
