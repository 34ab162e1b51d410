// What the JSON Schema beside this file was generated from: Grafana's own types, with a panel's
// options and field settings tied to its type, which Grafana's `Panel` leaves open.
//
// Once for Grafana 12, which compose starts, and once for 13: VERSION is 12.4.4 or 13.2.3, FILE
// dashboard.schema.json or dashboard-13.schema.json.
//
//   npm install @grafana/schema@VERSION ts-json-schema-generator@2.4.0
//   npx ts-json-schema-generator --path dashboard.ts --type GeneratedDashboard \
//     --no-type-check --expose none --no-top-ref --jsDoc none --minify -o FILE
import type * as raw from './node_modules/@grafana/schema/dist/types/raw/dashboard/x/types.gen';
import type * as timeseries from './node_modules/@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/types.gen';
import type * as stat from './node_modules/@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/types.gen';
import type * as gauge from './node_modules/@grafana/schema/dist/types/raw/composable/gauge/panelcfg/x/types.gen';
import type * as table from './node_modules/@grafana/schema/dist/types/raw/composable/table/panelcfg/x/types.gen';

// The Prometheus query is no part of @grafana/schema; these are its documented fields.
interface PrometheusTarget {
  refId: string;
  datasource: raw.DataSourceRef;
  expr: string;
  legendFormat?: string;
  format?: 'time_series' | 'table' | 'heatmap';
  instant?: boolean;
  range?: boolean;
  exemplar?: boolean;
  interval?: string;
  editorMode?: 'code' | 'builder';
  hide?: boolean;
}

interface FieldSource<Custom> {
  defaults: Omit<raw.FieldConfig, 'custom'> & { custom?: Custom };
  overrides: raw.FieldConfigSource['overrides'];
}

interface PanelOf<Type extends string, Options, Custom>
  extends Omit<raw.Panel, 'type' | 'options' | 'fieldConfig' | 'targets' | 'title' | 'gridPos'> {
  type: Type;
  title: string;
  gridPos: raw.GridPos;
  options: Options;
  fieldConfig: FieldSource<Custom>;
  targets: PrometheusTarget[];
}

type AnyPanel =
  | PanelOf<'timeseries', timeseries.Options, Partial<timeseries.FieldConfig>>
  | PanelOf<'stat', stat.Options, Record<string, never>>
  | PanelOf<'gauge', gauge.Options, Record<string, never>>
  | PanelOf<'table', table.Options, Partial<table.FieldConfig>>;

// A heading between panels: none of ours is collapsed, so none holds panels.
interface Heading extends Omit<raw.RowPanel, 'title' | 'gridPos' | 'panels' | 'collapsed'> {
  title: string;
  gridPos: raw.GridPos;
  collapsed: false;
  panels: [];
}

// What the Prometheus data source reads of an annotation, beside Grafana's own fields.
interface PrometheusAnnotation extends Omit<raw.AnnotationQuery, 'target'> {
  expr: string;
  step?: string;
  titleFormat?: string;
  textFormat?: string;
  tagKeys?: string;
  useValueForTime?: boolean;
}

export interface GeneratedDashboard
  extends Omit<raw.Dashboard, 'panels' | 'uid' | 'title' | 'annotations'> {
  uid: string;
  title: string;
  panels: (AnyPanel | Heading)[];
  annotations: { list: PrometheusAnnotation[] };
}
