/* The list. */
#include "server/handlers/tasks/task.h"

#include <stddef.h>

const struct srv_task *const srv_tasks[] = {
#define TASK(name) &srv_task_##name,
#include "server/handlers/tasks/tasks.def"
    NULL,
};

const struct srv_task *srv_task_of(const struct srv_model *m)
{
    int i = 0;
    while (srv_tasks[i + 1] && !srv_tasks[i]->is_for(m))
        i++;
    return srv_tasks[i];
}
