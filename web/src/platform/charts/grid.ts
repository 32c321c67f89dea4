/** The world as a grid of equal tiles, so that a small country is as easy to see as a large one. */

/* Countries (ISO 3166-1 alpha-2) where they are, roughly; neighbours stay neighbours as far as squares allow. */
const WORLD = `
.. .. .. .. .. .. GL .. IS .. .. .. NO SE FI .. .. .. .. .. .. .. .. .. .. ..
.. CA .. .. .. .. .. .. .. .. .. DK .. .. EE LV RU .. .. .. .. .. .. .. .. ..
.. US .. .. .. .. .. .. IE GB NL DE PL .. LT BY .. KZ .. MN .. .. .. KP JP ..
.. MX .. BM .. .. .. .. .. BE LU CZ SK UA MD .. GE UZ KG .. CN .. .. KR .. ..
.. GT BZ BS .. .. .. .. FR CH LI AT HU RO .. AM AZ TM TJ .. .. HK MO TW .. ..
.. SV HN CU HT DO PR .. AD MC IT SI HR RS BG TR .. IR AF PK NP BT .. .. .. ..
.. .. NI CR JM KN AG PT ES SM VA BA ME XK MK CY SY IQ .. .. IN BD MM LA VN ..
.. .. .. PA .. DM LC .. GI .. MT .. AL GR .. LB JO KW BH .. LK .. TH KH PH ..
.. .. CO VE TT VC BB .. MA DZ TN LY EG .. IL PS SA QA AE .. MV .. MY SG BN PW
.. EC PE GY SR GD .. EH MR ML NE TD SD ER DJ .. YE OM .. .. .. .. ID TL PG FM
.. .. BO BR GF .. CV SN GM BF NG CF SS ET SO .. .. .. .. .. .. .. .. .. SB MH
.. .. CL PY .. .. .. GW GN GH BJ CM UG KE SC .. .. .. .. .. .. .. AU NC VU NR
.. .. AR UY .. .. .. SL CI TG GQ CD RW TZ KM .. .. .. .. .. .. .. .. .. FJ TV
.. .. FK .. .. .. .. .. LR ST GA CG BI MW MG MU .. .. .. .. .. .. .. NZ TO KI
.. .. .. .. .. .. .. .. .. .. AO ZM ZW MZ RE .. .. .. .. .. .. .. .. .. WS ..
.. .. .. .. .. .. .. .. .. .. NA BW SZ .. .. .. .. .. .. .. .. .. .. .. .. ..
.. .. .. .. .. .. .. .. .. .. .. ZA LS .. .. .. .. .. .. .. .. .. .. .. .. ..
`;

export interface Tile {
  code: string;
  x: number;
  y: number;
}

const rows = WORLD.trim().split('\n');
export const tiles: readonly Tile[] = rows.flatMap((row, y) =>
  row.split(' ').flatMap((code, x) => (code === '..' ? [] : [{ code, x, y }])),
);
export const size = { columns: Math.max(...rows.map((row) => row.split(' ').length)), rows: rows.length } as const;
