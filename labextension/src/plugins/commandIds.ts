/** Ids of commands. */
export const CommandIDs = {
  /** Activates the side panel. */
  showPanel: 'bgstream:show-panel',
  /** Asks for a name and opens the thread of that name. */
  newThread: 'bgstream:new-thread',
  /** Lab's command that saves a document. */
  save: 'docmanager:save'
} as const;
