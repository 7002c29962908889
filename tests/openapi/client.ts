// What a front-end team writes against the generated types: it has to compile under `strict`.
import type { components, operations, paths } from "./generated";

type Schemas = components["schemas"];

export const request: Schemas["ImportCreate"] = {
  source: { kind: "ova", path: "/srv/exports/web-1.ova" },
  storage_domain_id: "0196f1d2-7c1e-7000-8000-00000000000a",
};

export const domain: operations["createStorageDomain"]["requestBody"]["content"]["application/json"] = {
  data_center_id: "0196f1d2-7c1e-7000-8000-000000000001",
  name: "store-1",
  kind: "directory",
  settings: { path: "/srv/imported" },
};

export function barOf(disk: Schemas["DiskProgress"]): string {
  const percent: number | null = disk.percent;
  return percent === null ? disk.label : `${disk.label} ${percent.toFixed(1)} %`;
}

export function headline(item: Schemas["Import"]): string {
  switch (item.state) {
    case "failed":
      return item.problem?.detail ?? "failed";
    case "queued":
      return item.queue === null ? "queued" : `number ${item.queue.position}: ${item.queue.reason}`;
    default:
      return item.disk_progress.map(barOf).join(", ");
  }
}

export function onProgress(event: Schemas["StreamEvents"]["progress"]): [string, number | null] {
  return [event.import_id, event.progress.eta_seconds];
}

export type ImportPage = paths["/v1/imports"]["get"]["responses"]["200"]["content"]["application/json"];

export const ids = (page: ImportPage): string[] => page.items.map((item) => item.id);

export function sentence(problem: Schemas["Problem"]): string {
  return [problem.detail, problem.hint ?? "", ...problem.errors.map((fault) => fault.pointer)].join(" ");
}
