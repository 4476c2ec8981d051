/** Tabs of threads in Lab; Notebook's main area has only one widget, so there the panel shows a thread. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget } from '@jupyterlab/apputils';
import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { threadIcon } from '../panel/icons';
import { ThreadView } from './threadView';

let tabs = 0;

export class ThreadTabs {
  /** @param viewOf makes the view of a thread. */
  constructor(
    private readonly _shell: JupyterFrontEnd.IShell,
    private readonly _viewOf: (name: string) => ThreadView
  ) {}

  /** Show the thread's tab, which may exist already. */
  show(name: string): void {
    let tab = [...this._tabs].find(({ content }) => content.thread === name);
    if (tab === undefined) {
      tab = new MainAreaWidget({ content: new Content(this._viewOf(name)) });
      tab.id = `jp-bgstream-thread-${++tabs}`;
      tab.title.icon = threadIcon;
      tab.disposed.connect(sender => this._tabs.delete(sender));
      const { content, title } = tab;
      const label = (): void => {
        title.label = title.caption = content.thread;
      };
      content.view.conversation.changed.connect(label);
      label();
      this._tabs.add(tab);
      this._shell.add(tab, 'main', { type: 'Background answer' });
    }
    this._shell.activateById(tab.id);
  }

  private readonly _tabs = new Set<MainAreaWidget<Content>>();
}

class Content extends Widget {
  constructor(readonly view: ThreadView) {
    super();
    this.addClass('jp-bgstream-threadtab');
    this.node.append(view.node);
  }

  get thread(): string {
    return this.view.conversation.name;
  }

  override dispose(): void {
    this.view.dispose();
    super.dispose();
  }

  protected override onActivateRequest(message: Message): void {
    super.onActivateRequest(message);
    this.view.focus();
  }
}
