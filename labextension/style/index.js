import './base.css';
import './batch.css';
import './compare.css';
import './panel.css';
import './pictures.css';
import './thread.css';
