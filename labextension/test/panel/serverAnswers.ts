import {
  type Inbox,
  type JobInfo,
  type JobPage,
  type NoticeInfo,
  PROTOCOL,
  type ServerStatus
} from '../../src/wire/types';

export const notice = (id: string, read_at: number | null = null): NoticeInfo => ({
  id,
  job: `job-${id}`,
  batch: null,
  status: 'completed',
  title: id,
  preview: '',
  counts: null,
  paused: null,
  thread: null,
  source: { notebook: null, cell: null, kernel: null },
  created_at: 1,
  read_at,
  muted: false
});

export const pageOf = (jobs: JobInfo[]): JobPage => ({ jobs, next: null, viewer: null });

export const statusOf = (...warnings: string[]): ServerStatus => ({
  version: '0',
  protocol: PROTOCOL,
  server: 's',
  store: 'sqlite',
  counts: {},
  limits: {
    max_running: 1,
    reserved_interactive: 0,
    max_running_per_owner: null,
    max_queued: 1,
    max_attempts: 1,
    max_answer_bytes: 1,
    max_image_bytes: 1,
    stop_grace: 1
  },
  default_model: null,
  warnings
});

export const inboxOf = (...notices: NoticeInfo[]): Inbox => ({
  notices,
  unread: notices.filter(({ read_at, muted }) => read_at === null && !muted).length
});

export const read = ({ notices }: Inbox): Inbox => inboxOf(...notices.map(each => ({ ...each, read_at: 2 })));
