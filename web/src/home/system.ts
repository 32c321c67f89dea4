/** A system as GET /api/systems tells of it. */
export interface Figure {
  label: string;
  value: number;
  unit: string | null;
  /** The last hours or days, oldest first. */
  series: readonly number[] | null;
}

export interface System {
  name: string;
  title: string;
  summary: string;
  state: 'ready' | 'degraded' | 'off';
  url: string;
  figures: readonly Figure[];
}

/** The whole house as GET /readyz tells of it. */
export interface Readiness {
  status: System['state'];
  engines: Readonly<Record<string, System['state']>>;
}
