/* A repository folder as the registry reads it: which names there are, which versions of one are to
 * be served, and these loaded. Slow, like srv_registry_load(), of which it is the reading part. */
#ifndef SRV_FOLDER_H
#define SRV_FOLDER_H

#include "server/repository/registry.h"

/* All NAMEs of the folder, or those that the change leaves and the one that it loads. Only lack of
 * memory and of the folder are errors. */
int srv_folder_read(struct srv_registry *r, const struct srv_registry_options *o,
                    const struct srv_registry *old, char *err, size_t errlen);

/* Changes with every name, size, inode and time of change in the folder: what a reload would look
 * at. 0: it cannot be read. */
uint64_t srv_folder_stamp(const char *dir);

#endif
