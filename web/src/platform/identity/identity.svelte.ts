/** Who is signed in, and what an account can do with itself. One account serves all systems. */
import { http } from '../api';

export interface Account {
  id: string;
  name: string;
  display_name: string;
  tier: 'free' | 'plus' | 'enterprise';
  created_at: string;
}

interface Me {
  account: Account | null;
}

export interface Session {
  id: string;
  agent: string;
  created_at: string;
  seen_at: string;
  /** The one that this browser uses. */
  current: boolean;
}

export interface ApiKey {
  id: string;
  name: string;
  /** How the key begins, to recognise it by. */
  prefix: string;
  created_at: string;
  used_at: string | null;
}

/** A new key; its secret is shown this once. */
export interface NewKey {
  key: ApiKey;
  secret: string;
}

/** A program of somebody else's that may act for this account. */
export interface AuthorizedApplication {
  id: string;
  name: string;
  website: string | null;
  /** What it may do, in words. */
  scopes: readonly string[];
  authorized_at: string;
  used_at: string | null;
}

const API = '/api/identity';

class Identity {
  /** undefined until the server has answered. */
  account = $state.raw<Account | null | undefined>(undefined);

  async load(): Promise<void> {
    try {
      this.account = (await http.get<Me>(`${API}/me`, { timeout: 5 })).account;
    } catch {
      // Without an answer we are nobody for now: what works for anonymous people keeps working.
      this.account = null;
    }
  }

  async signIn(name: string, password: string): Promise<void> {
    this.account = (await http.post<Me>(`${API}/signin`, { name, password })).account;
  }

  async signUp(name: string, password: string): Promise<void> {
    this.account = (await http.post<Me>(`${API}/signup`, { name, password })).account;
  }

  async signOut(): Promise<void> {
    await http.post(`${API}/signout`);
    this.account = null;
  }

  readonly changePassword = (current: string, next: string) => http.post(`${API}/password`, { current, new: next });
  readonly keys = () => http.get<ApiKey[]>(`${API}/keys`);
  readonly addKey = (name: string) => http.post<NewKey>(`${API}/keys`, { name });
  readonly revokeKey = (id: string) => http.delete(`${API}/keys/${encodeURIComponent(id)}`);
  readonly sessions = () => http.get<Session[]>(`${API}/sessions`);
  readonly applications = () => http.get<AuthorizedApplication[]>(`${API}/applications`);
  readonly revokeApplication = (id: string) => http.delete(`${API}/applications/${encodeURIComponent(id)}`);
  readonly revokeSession = (id: string) => http.delete(`${API}/sessions/${encodeURIComponent(id)}`);
}

export const identity = new Identity();
